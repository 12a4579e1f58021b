"""Who will decide a request of the proxy: asked before its pick, to judge the controls that it brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rb_litellm.controls import Planner
from rb_litellm.litellm_adapter.hosts import host
from rb_litellm.litellm_adapter.shared.proxy_server import current_router


def planner_for(data: Mapping[str, Any]) -> Planner | None:
    """The planner of our selector that will decide the request; None if another strategy will."""
    selector = host.current().selector_for(current_router(), data.get("model"), data)
    return None if selector is None else selector.planner
