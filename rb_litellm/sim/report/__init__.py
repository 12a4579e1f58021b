"""Results of simulations as files: JSON, Parquet, plots, and one self-contained page."""
