"""Who asks, and what they may ask for: models, controls, weights, a strategy of their own."""
