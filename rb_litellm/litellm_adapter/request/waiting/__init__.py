"""Requests that wait: for their decision, which a lone one does not, or for a server to have room."""
