"""What LiteLLM's Rust core is told instead of our strategy's name.

Rust hands every strategy that it does not know to Python as well. But such a router runs no policy plugins
and no pre-routing hooks, and such a strategy is not taken from a request, its key or its team. So Rust is
told the name of another strategy that Python picks for; Python's side keeps to the true one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rb_litellm.litellm_adapter.hosts.host import is_ours

STAND_IN = "latency-based-routing"
"""It has an asynchronous and a synchronous pick, and no counts or reservations beside them."""


def renamed(original: Callable[..., Any], _: Any, *args: Any, **kwargs: Any) -> Mapping[str, Any]:
    """A router's settings, or fields of a request, in names that Rust knows."""
    fields: Mapping[str, Any] = original(*args, **kwargs)
    if is_ours(fields.get("routing_strategy")):
        return {**fields, "routing_strategy": STAND_IN}
    return fields
