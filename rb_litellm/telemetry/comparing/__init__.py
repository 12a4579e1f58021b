"""What other choices would have made of the same requests, counted, reckoned or judged."""
