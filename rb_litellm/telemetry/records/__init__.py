"""The record of each decision, and the forms in which it is told."""
