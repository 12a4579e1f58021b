"""What decides: scores of candidates, batches, trials, exploration, shares."""
