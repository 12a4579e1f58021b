"""What inference servers tell of themselves: their addresses, facts, metrics, and the load of others."""
