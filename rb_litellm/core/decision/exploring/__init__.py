"""Requests that do not go to the best deployment, to learn of another: how often, when, and where to."""
