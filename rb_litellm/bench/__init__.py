"""The benchmarks that `routebalance bench` runs."""
