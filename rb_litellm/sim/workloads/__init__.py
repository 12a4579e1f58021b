"""What is asked of a simulated cluster: prompts, conversations, agents' loops, reasoning, shared prefixes."""
