"""What features that are off by default buy and cost, one experiment each."""
