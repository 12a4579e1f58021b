"""Simulated servers: clusters, batching, prefix caches."""
