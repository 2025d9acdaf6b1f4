"""Are the images whole? What each file holds, checked and kept as a table, and manifests without the bad ones."""
