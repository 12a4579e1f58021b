"""Log lines that say when RouteBalance stops or begins to route since somebody changed LiteLLM's settings."""

from __future__ import annotations

import logging

from rb_litellm.litellm_adapter.hosts.host import STRATEGY

_log = logging.getLogger("rb_litellm")


def strategy_changed(before: str | None, after: str) -> None:
    """A router's own strategy was set."""
    if before == STRATEGY and after != STRATEGY:
        _log.error(
            "RouteBalance was dropped: the router's routing_strategy was changed from %s to %s. "
            "Set it back in router_settings or in the Admin UI to route by quality, latency and cost again.",
            before,
            after,
        )
    elif after == STRATEGY:
        _log.warning("RouteBalance routes from now on: routing_strategy was changed from %s.", before)


def groups_changed(before: set[str], after: set[str]) -> None:
    """A router's routing groups were set; the names are of those with our strategy."""
    if dropped := sorted(before - after):
        _log.error(
            "RouteBalance was dropped from routing group %s: router_settings.routing_groups was changed.",
            ", ".join(dropped),
        )


def pick_replaced() -> None:
    """A custom strategy was registered on a router that we serve."""
    _log.error(
        "RouteBalance was dropped: a custom routing strategy was registered on a router whose "
        "routing_strategy is %s; it replaces the whole pick.",
        STRATEGY,
    )
