"""What the host of LiteLLM's Rust line is made of."""
