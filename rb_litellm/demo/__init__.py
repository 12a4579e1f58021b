"""See it work: simulated vLLM servers, an open-loop load, and the demo that puts a real proxy between."""
