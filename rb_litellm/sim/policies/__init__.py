"""What chooses in the simulator: RouteBalance, strategies of LiteLLM, routers, bounds."""
