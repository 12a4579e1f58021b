"""How the strategy gets into a LiteLLM Router: the only files with LiteLLM's private names."""
