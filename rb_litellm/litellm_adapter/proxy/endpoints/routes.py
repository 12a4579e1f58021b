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
                _put_first(app, all_endpoints(self._worker))
                app.openapi_schema = None
                setattr(app.state, _MARK, True)
            self._mounted = True
        except Exception:  # noqa: BLE001  a page that cannot be shown must not stop the proxy
            _log.exception("RouteBalance: the endpoints below %s could not be mounted", PREFIX)


def _put_first(app: Any, ours: APIRouter) -> None:
    """Mount our endpoints before LiteLLM's, which costs each request for one of theirs a look at its path.

    FastAPI puts a router together when a path first passes it: all of LiteLLM's take 3 s of CPU, for which
    everybody would wait where the first request for a path of ours passed them.
    """
    routes, before = app.router.routes, len(app.router.routes)
    app.include_router(ours)
    if len(routes) != before + 1:
        # An older FastAPI, which puts together at once, and has no router that could stand first.
        return
    routes.insert(0, routes.pop())
    routes[0].matches({"type": "http", "method": "GET", "path": f"{PREFIX}/", "root_path": "", "headers": []})


def all_endpoints(worker: Worker) -> APIRouter:
    """Every endpoint of ours, below PREFIX."""
    from fastapi import APIRouter
    from starlette.routing import Match

    from rb_litellm.litellm_adapter.proxy.endpoints import (
        explain_routes,
        feedback_routes,
        metrics_routes,
        shadow_routes,
        status_routes,
    )

    class Ours(APIRouter):
        def matches(self, scope: Any) -> tuple[Match, Any]:
            """Nobody but our own requests is to wait for our paths being looked through."""
            return super().matches(scope) if PREFIX in scope["path"] else (Match.NONE, {})

    router, turns = Ours(prefix=PREFIX, tags=["routebalance"]), Turns()
    for group in (status_routes, metrics_routes, explain_routes, shadow_routes, feedback_routes):
        router.include_router(group.endpoints(worker, turns))
    return router
