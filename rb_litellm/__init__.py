"""RouteBalance for LiteLLM: one joint decision over answer quality, latency under load, and cost.

    import rb_litellm
    rb_litellm.register()                       # once, before the Router is built
    litellm.Router(routing_strategy="routebalance", ...)

In a proxy's configuration, `litellm_settings.callbacks: [rb_litellm.proxy]` does the same.
"""

from __future__ import annotations

from typing import Any

from rb_litellm.version import __version__

__all__ = ["RouteBalanceSettings", "__version__", "proxy", "register", "start_worker"]


def register() -> None:
    """Make `routing_strategy: routebalance` known to every LiteLLM Router of this process.

    Raises:
        UnsupportedLiteLLM: the installed LiteLLM lacks something that the strategy is built on.
    """
    from rb_litellm.litellm_adapter.register import register as install

    install()


def start_worker() -> None:
    """Register and load compiled loops, as workers of `rb-litellm` do before they read their configuration.

    Loading holds up the event loop; now nobody waits for an answer.

    Raises:
        UnsupportedLiteLLM: as `register`.
    """
    from rb_litellm.litellm_adapter.register import worker

    register()
    worker().runtime.load_loops()


def __getattr__(name: str) -> Any:
    # Lazy, so that `import rb_litellm` in the simulator or a tool does not import LiteLLM.
    if name == "proxy":
        from rb_litellm.litellm_adapter.register import worker

        register()
        return worker().named()
    if name == "RouteBalanceSettings":
        from rb_litellm.config import RouteBalanceSettings

        return RouteBalanceSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
