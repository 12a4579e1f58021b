"""`GET /routebalance/metrics`: our series alone, for proxies whose `prometheus` callback is off.

With several workers it answers for all of them if they keep their figures in one directory,
PROMETHEUS_MULTIPROC_DIR; `rb-litellm` sees to that. Without it, a worker tells of itself.
"""

from __future__ import annotations

import asyncio
import functools
import os
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

# Imported by the proxy alone, which has it; FastAPI reads the annotations below from this module.
from fastapi import APIRouter, Depends, HTTPException, Request, Response

from rb_litellm.litellm_adapter.proxy.endpoints.authentication import for_admins
from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.litellm_adapter.proxy.metrics_report import MetricsReport

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.worker import Worker

KEY_VARIABLE = "ROUTEBALANCE_METRICS_KEY"
"""Environment variable with a key for scrapers."""


def endpoints(worker: Worker, turns: Turns) -> APIRouter:
    """The endpoints of this file, for `routes.mount`.

    Scraping asks for an admin's key, or the one in KEY_VARIABLE, which opens nothing else; for none where
    `litellm_settings.require_auth_for_metrics_endpoint: false` says so of LiteLLM's own `/metrics`.
    """
    import litellm

    report = MetricsReport(worker)
    open_to_all = getattr(litellm, "require_auth_for_metrics_endpoint", None) is False
    router = APIRouter(dependencies=[] if open_to_all else [Depends(_scrapers())])

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        """The series of RouteBalance in Prometheus' text format."""
        if report.meter is None:
            raise HTTPException(404, "no metrics are kept: prometheus-client is not installed")
        async with turns.one():
            await report.settle()
        # Reading the files of many workers takes a while; the loop goes on meanwhile.
        body, content_type = await asyncio.to_thread(render, request.headers.get("accept", ""))
        return Response(body, media_type=content_type)

    return router


def _scrapers() -> Any:
    """`for_admins`, and whoever has the key that opens this alone."""
    check = for_admins()

    @functools.wraps(check)
    async def ask(**given: Any) -> Any:
        own = os.environ.get(KEY_VARIABLE, "")
        sent = given["request"].headers.get("authorization", "").removeprefix("Bearer ")
        if own and secrets.compare_digest(sent.encode(), own.encode()):
            return None
        return await check(**given)

    return ask


def render(accept: str) -> tuple[bytes, str]:
    """Our series in the format that a scraper accepts, with its content type."""
    from prometheus_client.exposition import choose_encoder

    encode, content_type = choose_encoder(accept)
    return encode(_Ours()), content_type


class _Ours:
    """The part of the registry that is ours, over all workers."""

    def collect(self) -> Iterator[Any]:
        from prometheus_client import REGISTRY, CollectorRegistry, multiprocess

        from rb_litellm.telemetry.metrics import PREFIX

        registry = REGISTRY
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for family in registry.collect():
            if family.name.startswith(PREFIX):
                yield family
