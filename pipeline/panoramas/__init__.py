"""Panoramas cut into crops that are named as SF-XL names its own."""
