"""Training on files that no one process holds: each worker of a Dask cluster keeps those that it has read."""
