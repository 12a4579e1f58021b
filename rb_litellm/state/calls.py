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
    failed: tuple[str, ...] = ()
    open: tuple[int, ...] = ()


class CallLog:
    """Attempts by call. It keeps all calls with an open attempt, and the latest `max_closed` others."""

    def __init__(self, max_closed: int) -> None:
        self._max_closed = max_closed
        self._open: dict[str, _Call] = {}
        self._closed: OrderedDict[str, _Call] = OrderedDict()

    def opened(self, call_id: str, attempt: int, deployment: str) -> None:
        """Record a new attempt.

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

    def closed(self, call_id: str, attempt: int, failed_on: str | None = None) -> None:
        """Record the end of an open attempt; `failed_on` is its deployment if it failed."""
        call = self._open[call_id]
        call.open = tuple(a for a in call.open if a != attempt)
        if failed_on is not None:
            call.failed = (*(d for d in call.failed if d != failed_on), failed_on)[-MAX_TRIED:]
        if call.open:
            return
        del self._open[call_id]
        self._closed[call_id] = call
        if len(self._closed) > self._max_closed:
            self._closed.popitem(last=False)

    def succeeded(self, call_id: str) -> None:
        """Forget what the call failed on: a client that uses its id again has another request."""
        call = self._open.get(call_id) or self._closed.get(call_id)
        if call is not None:
            call.failed = ()

    def attempts(self, call_id: str) -> int:
        """Number of attempts that the call has made so far; 0 for a call that is not remembered."""
        call = self._open.get(call_id) or self._closed.get(call_id)
        return 0 if call is None else call.attempts

    def tried(self, call_id: str) -> frozenset[str]:
        """Deployments that the call was sent to."""
        call = self._open.get(call_id) or self._closed.get(call_id)
        return frozenset() if call is None else frozenset(call.tried)

    def failed(self, call_id: str) -> frozenset[str]:
        """Deployments that attempts of the call have failed on."""
        call = self._open.get(call_id) or self._closed.get(call_id)
        return frozenset() if call is None else frozenset(call.failed)

    def open_attempts(self, call_id: str) -> tuple[int, ...]:
        """The call's attempts that are still open, oldest first."""
        call = self._open.get(call_id)
        return () if call is None else call.open

    def __len__(self) -> int:
        return len(self._open) + len(self._closed)
