"""What may take a candidate away: admission, budgets, service levels, quotas, outages."""
