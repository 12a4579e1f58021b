"""Named experiments: each a set of runs and what is to be read from them, with the claims it decides."""
