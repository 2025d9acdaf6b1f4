"""Evaluation: extract descriptors, search, compute recalls, localize photos, write the report."""
