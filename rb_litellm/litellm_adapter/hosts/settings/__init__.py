"""Our settings in LiteLLM: what its Admin UI shows and stores, what is refused, how changes are told."""
