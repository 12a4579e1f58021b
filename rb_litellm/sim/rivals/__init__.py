"""Routers of other projects, rebuilt from their published source, one a file.

Each file's docstring says which rule it follows and what was left out. Where a choice had to be made that
their source leaves to the operator, it is made in their favour and said.
"""
