"""Dead-reckoned load of every deployment, from the own ledger, the other workers' gauges and elapsed time."""
