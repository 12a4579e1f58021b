"""The exchange through Redis: the store, its scripts, and the version before."""
