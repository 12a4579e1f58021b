"""RouteBalance and others under loads, faults and limits of many kinds."""
