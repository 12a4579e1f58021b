"""RouteBalance as policies of the simulator: as it is in the proxy, with parts left out, with features on."""
