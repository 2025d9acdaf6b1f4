"""The network: images to descriptors. Needs torch and torchvision only, so that torch.hub can load it."""
