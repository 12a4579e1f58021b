"""Real processes to measure and test on: proxies, Redis servers, upstreams, probes inside workers."""
