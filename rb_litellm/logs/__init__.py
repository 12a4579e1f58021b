"""LiteLLM's spend logs, read for training and for replay."""
