"""Requests that are answered more than once: their judge, and what follows the first answer."""
