"""The network, from images to descriptors. Requires only torch and torchvision, so that torch.hub can load it."""
