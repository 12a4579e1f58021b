"""One inference server measured from outside: its times, slots, prefix cache and context window."""
