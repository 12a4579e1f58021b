"""What a prediction spends most of its time in, as plain loops that numba compiles where it is installed."""
