"""`routebalance doctor`: whether RouteBalance will do its work with this configuration, in this proxy."""
