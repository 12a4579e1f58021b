"""The documentation is tested: what it shows exists, and what exists is in it."""
