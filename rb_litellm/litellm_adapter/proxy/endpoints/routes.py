"""Our HTTP endpoints on the proxy: the one place where they are mounted, under LiteLLM's own authentication.

A further group of endpoints is a function `endpoints(worker, turns) -> APIRouter` in a file of its own, named
below. Its paths are below /routebalance, and every one of them asks for a key first.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.litellm_adapter.shared.proxy_server import proxy_server

if TYPE_CHECKING:
    from fastapi import APIRouter

    from rb_litellm.litellm_adapter.worker import Worker

PREFIX = "/routebalance"
_MARK = "routebalance_mounted"
_log = logging.getLogger("rb_litellm")


class Routes:
    """Our endpoints, mounted once on the proxy of this process.

    Without a proxy (the SDK, or a process that only starts workers) there is nothing to add them to.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._mounted = False

    def ensure_started(self) -> None:
        """Mount the endpoints unless they are. Never raises: a proxy without our pages still routes."""
        app = None if self._mounted else getattr(proxy_server(), "app", None)
        if app is None:
            return
        try:
            if not getattr(app.state, _MARK, False):
                app.include_router(all_endpoints(self._worker))
                app.openapi_schema = None
                setattr(app.state, _MARK, True)
                _put_together(app)
            self._mounted = True
        except Exception:  # noqa: BLE001  a page that cannot be shown must not stop the proxy
            _log.exception("RouteBalance: the endpoints below %s could not be mounted", PREFIX)


def _put_together(app: Any) -> None:
    """Have FastAPI look for a path of ours now, at the start.

    It puts routers together when a path first passes them. Ours comes after all of LiteLLM's, and half a
    second of the first request to it would be half a second of everybody's.
    """
    scope = {"type": "http", "method": "GET", "path": f"{PREFIX}/", "root_path": "", "headers": []}
    for route in app.router.routes:
        route.matches(dict(scope))


def all_endpoints(worker: Worker) -> APIRouter:
    """Every endpoint of ours, below PREFIX."""
    from fastapi import APIRouter

    from rb_litellm.litellm_adapter.proxy.endpoints import (
        explain_routes,
        feedback_routes,
        metrics_routes,
        shadow_routes,
        status_routes,
    )

    router, turns = APIRouter(prefix=PREFIX, tags=["routebalance"]), Turns()
    for group in (status_routes, metrics_routes, explain_routes, shadow_routes, feedback_routes):
        router.include_router(group.endpoints(worker, turns))
    return router
