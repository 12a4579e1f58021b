"""Who will decide a request of the proxy: asked before its pick, to judge the controls that it brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rb_litellm.controls import Planner
from rb_litellm.litellm_adapter.hosts import host
from rb_litellm.litellm_adapter.request.rights import own_strategy
from rb_litellm.litellm_adapter.shared.proxy_server import current_router


def planner_for(data: Mapping[str, Any]) -> Planner | None:
    """The planner of our selector that will decide the request; None if another strategy will."""
    brought = own_strategy.of_key_or_team(data)
    if brought is not None:
        data = {own_strategy.STRATEGY_FIELD: brought, **data}
    selector = host.current().selector_for(current_router(), data.get("model"), data)
    return None if selector is None else selector.planner


def decides_anything() -> bool:
    """Whether RouteBalance decides any request of this proxy."""
    router = current_router()
    return router is not None and bool(host.routed_by_us(router))
