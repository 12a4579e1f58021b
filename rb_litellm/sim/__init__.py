"""A simulator of a cluster of inference servers, and the parts that the demo shares with it."""
