"""Groups in, a CosPlace model out: data set, network, loss, augmentation, checkpoints and the training loop."""
