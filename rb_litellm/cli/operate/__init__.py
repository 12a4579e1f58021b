"""Commands for a proxy that runs, or is about to."""
