"""How workers tell each other their load: what travels, through which store, and when."""
