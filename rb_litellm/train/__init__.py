"""From graded answers to a trained predictor: data sets, training, evaluation."""
