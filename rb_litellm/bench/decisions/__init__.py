"""What a decision costs: beside other strategies, another build, everything off, and in a second."""
