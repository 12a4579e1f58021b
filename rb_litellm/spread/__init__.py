"""One function over many cells, in order: in this process, in several of this machine, or on a cluster."""
