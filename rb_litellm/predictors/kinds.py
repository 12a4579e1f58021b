"""Kinds of prompt that abilities are told of."""

KINDS = ("knowledge", "mathematics", "code", "chat", "instructions", "tools", "long_context")
