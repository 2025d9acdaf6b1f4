"""From a folder of geo-tagged photos to the groups that CosPlace trains on: names, manifest, cells, groups."""
