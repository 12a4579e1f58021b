"""Work spread over processes and clusters."""
