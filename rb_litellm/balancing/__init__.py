"""What a decision is made of beside the scores: candidates, beliefs, what is taken of limits, horizons."""
