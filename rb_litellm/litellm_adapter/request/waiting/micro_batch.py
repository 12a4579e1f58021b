"""Where requests wait for their decision, which for a lone request is nowhere.

A batch is what has arrived while the last one was decided. In an event loop that means: the first
request asks the loop for its next free moment, and whoever else is ready by then is decided with it.
On an idle proxy that moment is now; there is no timer.

When fifty come at once, as many are read and decided at a time as take about HOLD_S, whatever the machine and
the number of candidates, and the loop goes round between them and the next. How many these are is learned as
they are decided. They are fewer in a round of the loop that has had other work of ours.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from time import thread_time
from typing import Generic, TypeVar

from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS
from rb_litellm.litellm_adapter.shared.upkeep.loop_round import LOOP_ROUND, LoopRound

Asked = TypeVar("Asked")
Request = TypeVar("Request")
Answer = TypeVar("Answer")

MAX_BATCH = 64
"""Requests decided at a time, at most; more are decided right after, so that the loop can breathe."""
MIN_BATCH = 2
"""However long they take: one by one, requests take twice as long in all."""
_FIRST_BATCH = 4
HOLD_S = 0.0025
"""A batch holds the loop for about so long."""


class MicroBatcher(Generic[Asked, Request, Answer]):
    """Collects the requests of one event loop and has them decided together.

    `read` makes a request of what was asked, in the context of who asked: there the controls of a request are
    kept. If it raises, that request alone gets the exception. `decide` gets a list of requests and returns as
    many answers; if it raises, every request of that batch gets the exception. The queue is bounded by the
    requests that the proxy has accepted.
    """

    def __init__(
        self,
        read: Callable[[Asked], Request],
        decide: Callable[[list[Request]], list[Answer]],
        clock: Callable[[], float] = thread_time,
        loop_round: LoopRound = LOOP_ROUND,
    ) -> None:
        """`clock` gives seconds: of the processor, so that on a busy machine batches do not shrink."""
        self._read = read
        self._decide = decide
        self._clock = clock
        self._round = loop_round
        self._size = float(_FIRST_BATCH)
        """Requests that take HOLD_S, by the latest batches."""
        self._waiting: deque[tuple[Asked, Context, asyncio.Future[Answer]]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def submit(self, request: Asked) -> Answer:
        """Wait for this request's answer."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None and self._loop.is_closed():
                # Nobody waits any more for what that loop left here.
                self._waiting.clear()
            if self._waiting:
                # Another thread's loop has requests here: decide alone rather than mix loops.
                return self._decide([self._read(request)])[0]
            self._loop = loop
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((request, copy_context(), future))
        if len(self._waiting) == 1:
            loop.call_soon(self._serve)
        return await future

    def _serve(self) -> None:
        LOOP_HOLDS.during("decision", self._serve_waiting)

    def _serve_waiting(self) -> None:
        batch: list[tuple[Request, asyncio.Future[Answer]]] = []
        full, began = round(self._size), self._clock()
        size = full if self._round.has_room else max(full // 2, MIN_BATCH)
        while self._waiting and len(batch) < size:
            asked, context, future = self._waiting.popleft()
            # A client that left meanwhile must not be counted as load.
            if future.cancelled():
                continue
            try:
                batch.append((context.run(self._read, asked), future))
            except Exception as error:  # noqa: BLE001  it falls back by itself
                future.set_exception(error)
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
        held = (self._clock() - began) / HOLD_S
        # Of a short time a batch tells only if others wait behind it, for a small one costs more each.
        if held > 1.0 or len(batch) == full:
            could = len(batch) / max(held, 0.5)
            self._size = max(min(0.5 * (self._size + could), MAX_BATCH), MIN_BATCH)
