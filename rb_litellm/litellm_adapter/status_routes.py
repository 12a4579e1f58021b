"""`GET /routebalance/status`: how this worker stands, as JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from rb_litellm import __version__
from rb_litellm.litellm_adapter.register import STRATEGY

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rb_litellm.litellm_adapter.runtime import Runtime


def endpoints(runtime: Runtime) -> APIRouter:
    """The endpoints of this file, for `routes.mount`."""
    from fastapi import APIRouter, Depends

    from rb_litellm.litellm_adapter.routes import authenticated

    router = APIRouter(dependencies=[Depends(authenticated())])

    @router.get("/status")
    async def status() -> dict[str, Any]:
        """The state of RouteBalance in the worker that answers."""
        return snapshot(runtime)

    return router


def snapshot(runtime: Runtime) -> dict[str, Any]:
    """What is known of this worker now; every figure with its unit in its name."""
    exchange = runtime.sharing.status()
    return {
        "version": __version__,
        "litellm": version("litellm"),
        "worker": None if exchange is None else exchange.origin,
        "strategies": strategies(getattr(sys.modules.get("litellm.proxy.proxy_server"), "llm_router", None)),
        "failures": dict(runtime.counters.failures),
        "exchange": None if exchange is None else asdict(exchange),
    }


def strategies(router: Any) -> list[dict[str, Any]]:
    """The router's own strategy and those of its routing groups that are ours: group, members, arguments.

    `group` is None for the router's own, which serves whatever no group claims.
    """
    if router is None:
        return []
    settings = router.get_settings()
    found = []
    for holder in (settings, *(settings.get("routing_groups") or ())):
        entry = holder if isinstance(holder, dict) else holder.model_dump()
        if getattr(entry.get("routing_strategy"), "value", entry.get("routing_strategy")) == STRATEGY:
            found.append(
                {
                    "group": entry.get("group_name"),
                    "models": list(entry.get("models") or ()),
                    "arguments": entry.get("routing_strategy_args") or {},
                }
            )
    return found
