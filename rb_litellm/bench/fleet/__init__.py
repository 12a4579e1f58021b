"""What the exchange of loads costs in a fleet: processes that share one machine and one real Redis."""
