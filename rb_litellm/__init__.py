"""RouteBalance for LiteLLM: one joint decision over answer quality, latency under load, and cost."""

__version__ = "0.1.0"
