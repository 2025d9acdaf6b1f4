"""The command `cosplace`, and its demo."""
