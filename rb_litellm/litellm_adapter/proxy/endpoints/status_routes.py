"""The status page and what it lives on: the page itself, status, events, and what other weights would choose.

Imported only where a proxy runs, so FastAPI is there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse

from rb_litellm.litellm_adapter.proxy.endpoints.authentication import admission, for_admins
from rb_litellm.litellm_adapter.proxy.endpoints.decision_texts import DecisionTexts
from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.litellm_adapter.proxy.status import Status
from rb_litellm.litellm_adapter.shared.proxy_server import current_router
from rb_litellm.telemetry.comparing.whatif import choice_under, compared, weights_of
from rb_litellm.telemetry.page import page, security_headers
from rb_litellm.telemetry.records.decision_log import MAX_RECENT

if TYPE_CHECKING:
    from rb_litellm.litellm_adapter.worker import Worker

TICK_S = 1.0
STREAM_S = 15.0
"""A stream ends after so long and is asked for again: a proxy that shuts down waits for open ones."""
MAX_WATCHERS = 32
"""Streams at a time in one worker."""
LATEST = 60
"""Decisions that a page is told of."""
_PRIVATE = {"Cache-Control": "no-store"}
_JSON = "application/json"


def endpoints(worker: Worker, turns: Turns) -> APIRouter:
    """The endpoints of this file, for `routes.mount`."""
    router = APIRouter()
    status = Status(worker, current_router)
    watchers = Watchers()
    written, texts = _writer(), DecisionTexts(turns)
    checked = [Depends(for_admins())]

    @router.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def status_page(admitted: bool = Depends(admission())) -> HTMLResponse:
        """The page. It holds no data: whoever is not admitted gets it with 401, to sign in."""
        return HTMLResponse(page(), 200 if admitted else 401, headers={**security_headers(), **_PRIVATE})

    @router.get("/status", dependencies=checked)
    async def get_status(decisions: Annotated[int, Query(ge=0, le=MAX_RECENT)] = 20) -> Response:
        """The state of RouteBalance as the worker that answers sees it, and its last decisions."""
        await status.cooldowns.refresh()
        await worker.accounting.all_written()
        snapshot = written(await status.fresh(turns))
        latest = await texts.array([one.record for one in status.recent(decisions)])
        return Response(f'{snapshot[:-1]}, "latest": {latest}}}', headers=_PRIVATE, media_type=_JSON)

    @router.get("/whatif", dependencies=checked)
    async def get_what_if(
        quality: float,
        latency: float,
        cost: float,
        last: Annotated[int, Query(ge=1, le=MAX_RECENT)] = 200,
    ) -> JSONResponse:
        """What these weights, brought to a sum of one, would have chosen in the last decisions."""
        try:
            weights = weights_of(quality, latency, cost)
        except ValueError as wrong:
            raise HTTPException(400, str(wrong)) from wrong
        await worker.accounting.all_written()
        choices = await turns.each(status.recent(last), lambda one: choice_under(one, weights))
        return JSONResponse({"worker": status.worker, **compared(choices, weights)}, headers=_PRIVATE)

    @router.get("/events", dependencies=checked)
    async def get_events() -> StreamingResponse:
        """Server-sent events: `status` every second, `decisions` when there are new or measured ones."""
        leave = watchers.enter(worker.runtime.clock())
        if leave is None:
            raise HTTPException(503, f"{MAX_WATCHERS} pages watch this worker already")
        return _Watched(_events(status, turns, written, texts), leave)

    return router


class Watchers:
    """Streams that are open, or about to be: a place is taken when it is asked for."""

    def __init__(self) -> None:
        self._until: dict[object, float] = {}

    def enter(self, now: float) -> Callable[[], None] | None:
        """Take a place and return what gives it back; None where there is none.

        One that nobody gives back, because its stream was never begun, is free again after a while.
        """
        self._until = {place: until for place, until in self._until.items() if until > now}
        if len(self._until) >= MAX_WATCHERS:
            return None
        place = object()
        self._until[place] = now + 2 * STREAM_S
        return lambda: self._leave(place)

    def _leave(self, place: object) -> None:
        self._until.pop(place, None)


class _Watched(StreamingResponse):
    """A stream that gives its place back however it ends."""

    def __init__(self, stream: AsyncIterator[str], leave: Callable[[], None]) -> None:
        super().__init__(stream, media_type="text/event-stream", headers=_PRIVATE)
        self._leave = leave

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


async def _events(
    status: Status, turns: Turns, written: Callable[[dict[str, Any]], str], texts: DecisionTexts
) -> AsyncIterator[str]:
    told: dict[tuple[str, int], bool] = {}
    for _ in range(round(STREAM_S / TICK_S)):
        await status.cooldowns.refresh()
        yield _event("status", written(await status.fresh(turns)))
        records = [one.record for one in status.recent(LATEST)]
        seen = {(record.call_id, record.attempt): record.outcome is not None for record in records}
        news = [r for r in records if told.get((r.call_id, r.attempt)) != seen[r.call_id, r.attempt]]
        if news:
            told_now = f'{{"worker": {json.dumps(status.worker)}, "decisions": {await texts.array(news)}}}'
            yield _event("decisions", told_now)
        told = seen
        await asyncio.sleep(TICK_S)


def _writer() -> Callable[[dict[str, Any]], str]:
    """A snapshot as JSON, written once however many look at it."""
    last: list[tuple[dict[str, Any], str]] = []

    def written(snapshot: dict[str, Any]) -> str:
        if not last or last[0][0] is not snapshot:
            last[:] = [(snapshot, json.dumps(snapshot))]
        return last[0][1]

    return written


def _event(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"
