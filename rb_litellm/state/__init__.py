"""Dead-reckoned load of every deployment: own ledger, other workers' gauges, elapsed time."""
