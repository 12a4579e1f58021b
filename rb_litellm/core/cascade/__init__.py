"""Cascades: one model answers, a judge looks at the answer, and another model answers where it is poor."""
