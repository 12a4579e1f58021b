"""Requests that are answered in stages: the judge between them, and what follows the first answer."""
