"""Everything that touches LiteLLM: the strategy, its callbacks, and how they get into a Router."""
