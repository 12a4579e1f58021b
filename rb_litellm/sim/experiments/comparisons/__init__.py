"""Routers, scores and parts of RouteBalance against each other, under the same load."""
