"""A prompt as numbers: its words, its structure, its tokens."""
