"""Train a CosPlace model on groups: data, network, loss, training loop, checkpoints."""
