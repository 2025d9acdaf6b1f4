"""Methods of others as models: networks of torch.hub and of one's own files, with their preprocessing."""
