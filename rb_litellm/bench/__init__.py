"""Measurements that print themselves: what `routebalance bench` runs."""
