"""LiteLLM's `enable_weighted_failover` under our strategy, for hosts whose Router is written in Python.

With that setting a failed request is sent to another deployment of its model group before any fallback to
another group. LiteLLM does so under simple-shuffle alone, which it knows by name. It may do so under ours
too: what it then asks for is a pick without the deployments that have failed, and that pick is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector

FAILOVER = "_maybe_run_weighted_failover"
"""What LiteLLM calls after a failure, given the group and its deployments."""
SHUFFLE = "simple-shuffle"
_CONTEXT = "_get_routing_context"


class RouterView:
    """A Router with another answer to a few questions; all else is the Router's own, and is set there.

    What a method that runs on the view calls on the Router is bound to the Router, and hears the truth.
    """

    __slots__ = ("_answers", "_router")

    def __init__(self, router: object, **answers: object) -> None:
        object.__setattr__(self, "_router", router)
        object.__setattr__(self, "_answers", answers)

    def __getattr__(self, name: str) -> Any:
        answers = object.__getattribute__(self, "_answers")
        return answers[name] if name in answers else getattr(self._router, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._router, name, value)


async def fail_over(original: Callable[..., Any], router: Any, *args: Any, **kwargs: Any) -> Any:
    """Stands around FAILOVER."""
    resolve = getattr(router, _CONTEXT)

    def context(*args: Any, **kwargs: Any) -> Any:
        strategy, selector = resolve(*args, **kwargs)
        if not isinstance(selector, RouteBalanceSelector):
            return strategy, selector
        settings = selector.settings
        # In shadow mode it is the strategy that serves whose promise is kept.
        return settings.base_strategy if settings.mode == "shadow" else SHUFFLE, selector

    view = RouterView(router, **{_CONTEXT: context})
    return await original.func(view, *args, **kwargs)  # type: ignore[attr-defined]
