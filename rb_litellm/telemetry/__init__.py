"""What RouteBalance tells of itself: the decision record, response headers, counters."""
