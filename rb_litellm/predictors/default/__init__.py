"""The predictor that ships: models by what is published of them, prompts by kind and difficulty."""
