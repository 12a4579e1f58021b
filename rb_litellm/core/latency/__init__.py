"""How long a request takes: the forecast, and what is learned of it."""
