"""Evaluation: a model and two lists of images -> descriptors, search, predictions and recalls."""
