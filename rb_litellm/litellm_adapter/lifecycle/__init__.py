"""LiteLLM's callbacks, as the beginnings and ends of attempts in the ledger."""
