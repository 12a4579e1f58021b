"""Which call a pick belongs to: the thread that links a request, its retries and its callbacks.

The proxy gives every request a `litellm_call_id` that its retries and fallbacks keep. The SDK gives a
new one to every attempt, so there the picks of one asyncio task (or thread) under one trace id are
one call until it succeeds, and the id is written into the request so that the callbacks show it.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections import OrderedDict
from typing import Any

MAX_CALLS = 8192
"""Calls of the SDK that are remembered for their retries; the oldest is forgotten."""


class Calls:
    """Call ids, bounded by MAX_CALLS. Guard with the runtime's lock."""

    def __init__(self) -> None:
        self._by_owner: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._owner: dict[str, tuple[str, int]] = {}

    def id_of(self, request_kwargs: dict[str, Any] | None) -> str:
        """The id of the call that makes this pick; written into `request_kwargs` if it had none."""
        if request_kwargs is None:
            return uuid.uuid4().hex
        known = request_kwargs.get("litellm_call_id")
        if isinstance(known, str) and known:
            return known
        trace = request_kwargs.get("litellm_trace_id")
        call_id = self._remembered((trace, _here())) if isinstance(trace, str) else uuid.uuid4().hex
        request_kwargs["litellm_call_id"] = call_id
        return call_id

    def _remembered(self, owner: tuple[str, int]) -> str:
        call_id = self._by_owner.get(owner)
        if call_id is None:
            call_id = self._by_owner[owner] = uuid.uuid4().hex
            self._owner[call_id] = owner
            if len(self._by_owner) > MAX_CALLS:
                _, oldest = self._by_owner.popitem(last=False)
                self._owner.pop(oldest, None)
        return call_id

    def __contains__(self, call_id: str) -> bool:
        """Whether the call is one of the SDK's that has not succeeded yet."""
        return call_id in self._owner

    def succeeded(self, call_id: str) -> None:
        """The call is over: the next pick from there is another call."""
        owner = self._owner.pop(call_id, None)
        if owner is not None and self._by_owner.get(owner) == call_id:
            del self._by_owner[owner]


def _here() -> int:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return id(task) if task is not None else threading.get_ident()
