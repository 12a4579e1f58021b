"""How fast deployments are, learned from what was measured of their answers."""
