"""The default predictor made from public data: population of models, level and gap of prompts, trees."""
