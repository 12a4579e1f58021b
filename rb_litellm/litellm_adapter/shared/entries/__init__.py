"""What LiteLLM's entries say of deployments."""
