"""The report: one HTML page on data, groups, training and evaluation. Imports neither torch nor faiss."""
