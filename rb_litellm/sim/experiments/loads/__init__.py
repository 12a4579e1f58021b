"""RouteBalance and others under loads and faults of many kinds."""
