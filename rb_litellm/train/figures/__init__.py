"""How well a predictor does."""
