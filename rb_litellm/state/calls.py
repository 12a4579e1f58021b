"""What is remembered of each call: how many attempts it made, where, and which are still open."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

MAX_TRIED = 32
"""Deployments remembered per call; a client that reuses one call id forever stays within this."""


@dataclass(slots=True)
class _Call:
    attempts: int = 0
    tried: tuple[str, ...] = ()
    open: tuple[int, ...] = ()


class CallLog:
    """Attempts by call. Calls with an open attempt are all kept; of the others the latest `max_closed`."""

    def __init__(self, max_closed: int) -> None:
        self._max_closed = max_closed
        self._open: dict[str, _Call] = {}
        self._closed: OrderedDict[str, _Call] = OrderedDict()

    def opened(self, call_id: str, attempt: int, deployment: str) -> None:
        """Note a new attempt.

        Raises:
            ValueError: the call has already made an attempt of this number.
        """
        call = self._open.get(call_id) or self._closed.get(call_id) or _Call()
        if attempt < call.attempts:
            raise ValueError(f"attempt {attempt} of call {call_id!r} was opened before")
        call.attempts = attempt + 1
        call.tried = (*(d for d in call.tried if d != deployment), deployment)[-MAX_TRIED:]
        call.open = (*call.open, attempt)
        self._closed.pop(call_id, None)
        self._open[call_id] = call

    def closed(self, call_id: str, attempt: int) -> None:
        """Note the end of an open attempt."""
        call = self._open[call_id]
        call.open = tuple(a for a in call.open if a != attempt)
        if call.open:
            return
        del self._open[call_id]
        self._closed[call_id] = call
        if len(self._closed) > self._max_closed:
            self._closed.popitem(last=False)

    def attempts(self, call_id: str) -> int:
        """Attempts that the call has made so far, as far as remembered."""
        call = self._open.get(call_id) or self._closed.get(call_id)
        return 0 if call is None else call.attempts

    def tried(self, call_id: str) -> frozenset[str]:
        """Deployments that the call was sent to."""
        call = self._open.get(call_id) or self._closed.get(call_id)
        return frozenset() if call is None else frozenset(call.tried)

    def latest_open(self, call_id: str) -> int | None:
        """The newest attempt that is still open."""
        call = self._open.get(call_id)
        return None if call is None else call.open[-1]

    def __len__(self) -> int:
        return len(self._open) + len(self._closed)
