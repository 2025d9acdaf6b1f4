"""Check image files, keep the verdicts as a table, and drop bad images from a manifest."""
