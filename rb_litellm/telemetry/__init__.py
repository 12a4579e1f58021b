"""What RouteBalance reports of itself: decision records, response headers, metrics, the status page."""
