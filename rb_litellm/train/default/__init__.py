"""The default predictor made from public data: population of models, figures of prompts, trees."""
