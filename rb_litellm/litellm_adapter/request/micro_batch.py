"""Where requests wait for their decision, which for a lone request is nowhere.

A batch is what has arrived while the last one was decided. In an event loop that means: the first
request asks the loop for its next free moment, and whoever else is ready by then is decided with it.
On an idle proxy that moment is now; there is no timer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS

Request = TypeVar("Request")
Answer = TypeVar("Answer")

MAX_BATCH = 64
"""Requests decided at a time; more are decided right after, so that the loop can breathe."""


class MicroBatcher(Generic[Request, Answer]):
    """Collects the requests of one event loop and has them decided together.

    `decide` gets a list of requests and returns as many answers; if it raises, every request of that
    batch gets the exception. The queue is bounded by the requests that the proxy has accepted.
    """

    def __init__(self, decide: Callable[[list[Request]], list[Answer]]) -> None:
        self._decide = decide
        self._waiting: deque[tuple[Request, asyncio.Future[Answer]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def submit(self, request: Request) -> Answer:
        """Wait for this request's answer."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and self._loop.is_closed():
                # Nobody waits any more for what that loop left here.
                self._waiting.clear()
            if self._waiting:
                # Another thread's loop has requests here: decide alone rather than mix loops.
                return self._decide([request])[0]
            self._loop = loop
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((request, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._serve)
        return await future

    def _serve(self) -> None:
        LOOP_HOLDS.during("decision", self._serve_waiting)

    def _serve_waiting(self) -> None:
        batch: list[tuple[Request, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < MAX_BATCH:
            request, future = self._waiting.popleft()
            # A client that left meanwhile must not be counted as load.
            if not future.cancelled():
                batch.append((request, future))
        if self._waiting and self._loop is not None:
            self._loop.call_soon(self._serve)
        if not batch:
            return
        try:
            answers = self._decide([request for request, _ in batch])
        except Exception as error:  # noqa: BLE001  each request falls back by itself
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
