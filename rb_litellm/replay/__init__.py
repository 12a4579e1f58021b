"""A user's own traffic, out of LiteLLM's spend logs, under other weights, strategies and clusters."""
