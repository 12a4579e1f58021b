"""HTTP endpoints of ours on the proxy, and who may ask them what, how often."""
