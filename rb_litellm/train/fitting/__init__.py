"""How a predictor is fitted."""
