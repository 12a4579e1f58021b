"""`routebalance init`: the few lines that an existing LiteLLM configuration needs."""
