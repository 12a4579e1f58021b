"""Commands that make predictors, and what they are made of."""
