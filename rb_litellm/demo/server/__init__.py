"""A mock vLLM server: what it writes, how fast, its endpoints and its faults."""
