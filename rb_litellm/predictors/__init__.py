"""Prompt -> answer quality and output length per model: features, trained models, priors."""
