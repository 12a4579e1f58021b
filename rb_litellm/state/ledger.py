"""The open attempts of this worker: exact, idempotent, leased.

An attempt is opened at the pick and closed exactly once, by whichever of many events comes first;
closes that come late or twice change nothing. An attempt that no event ever closes ends by its lease.
Loads are computed from the open attempts at every read, so no counter exists that could drift.

What an attempt still has to do is reckoned from elapsed time: its prefill shrinks to nothing as its
first token draws near, and its pending decode tokens fall by one per predicted TPOT from then on.

The caller passes the time, monotonic seconds. Safe to use from several threads.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from itertools import islice
from threading import RLock
from typing import NamedTuple

import numpy as np

from rb_litellm.core.streams import Progress, Stream
from rb_litellm.core.types import FloatArray, InstanceState, Outcome, Prediction
from rb_litellm.state.calls import CallLog
from rb_litellm.state.columns import Columns, at_least
from rb_litellm.state.index import DeploymentIndex

MAX_OPEN = 65_536
"""Attempts open at once. At the bound the one whose lease ends first is closed to make room."""
MAX_CLOSED_CALLS = 8_192
"""Calls remembered after their last attempt was closed, for retries: the latest ones."""


class AttemptKey(NamedTuple):
    """One upstream call: a retry of a call is a new attempt of the same call id, counted from 0."""

    call_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class LeaseRule:
    """An attempt's lease: predicted E2E x factor, within [floor_s, ceiling_s]."""

    factor: float = 4.0
    floor_s: float = 30.0
    ceiling_s: float = 900.0

    def lease_s(self, e2e_s: float | None) -> float:
        """Seconds from the pick; with nothing predicted, the floor stands in for the E2E."""
        expected = self.floor_s if e2e_s is None else e2e_s
        return min(at_least(self.floor_s, self.factor * expected), self.ceiling_s)


@dataclass(slots=True)
class _Attempt:
    key: AttemptKey
    deployment: str
    sent_s: float
    input_tokens: int
    prediction: Prediction | None
    in_flight: float
    pending_prefill_tokens: float
    slot: int
    first_token_s: float | None = None


class Ledger:
    """Open attempts by key, with the load they mean per row of `index`."""

    def __init__(
        self,
        index: DeploymentIndex,
        lease: LeaseRule,
        max_open: int = MAX_OPEN,
        max_closed_calls: int = MAX_CLOSED_CALLS,
    ) -> None:
        if max_open < 1:
            raise ValueError(f"max_open is {max_open}; allowed is 1 or more")
        self._index = index
        self.lease = lease
        """Of attempts opened from now on; may be replaced."""
        self._max_open = max_open
        self._lock = RLock()
        self._open: dict[AttemptKey, _Attempt] = {}
        self._by_slot: list[_Attempt] = []
        self._columns = Columns()
        self._streams: OrderedDict[AttemptKey, Stream] = OrderedDict()
        self._calls = CallLog(max_closed_calls)
        self._crowded_out: list[Outcome] = []
        self.changes = 0
        """Grows with every open, first token and close: whether anything changed since it was last read."""
        self.closed: Counter[str] = Counter()
        """Attempts closed so far, by what closed them."""

    def open(
        self,
        key: AttemptKey,
        deployment: str,
        *,
        now: float,
        input_tokens: int,
        prediction: Prediction | None,
        in_flight: float = 0.0,
        pending_prefill_tokens: float = 0.0,
        streams: bool = False,
    ) -> None:
        """Count an attempt from now on.

        `prediction` None: it was placed by a rule that predicts nothing; it counts as one in flight.
        `in_flight` and `pending_prefill_tokens` are the load it met, for the outcome. `streams` says
        that a first token will be seen, so that its absence is evidence.

        Raises:
            ValueError: this attempt was opened before.
        """
        with self._lock:
            self._calls.opened(key.call_id, key.attempt, deployment)
            if len(self._open) >= self._max_open:
                victim = self._by_slot[int(np.argmin(self._columns.lease_end[: len(self._by_slot)]))]
                self._crowded_out.append(self._close(victim, now, "bound"))
            attempt = _Attempt(
                key,
                deployment,
                now,
                max(int(input_tokens), 0),
                prediction,
                in_flight,
                pending_prefill_tokens,
                slot=len(self._by_slot),
            )
            self._open[key] = attempt
            self._by_slot.append(attempt)
            lease_s = self.lease.lease_s(None if prediction is None else prediction.e2e_s)
            self._columns.write(
                attempt.slot,
                self._index.row(deployment),
                sent_s=now,
                lease_end_s=now + lease_s,
                input_tokens=attempt.input_tokens,
                prediction=prediction,
                streams=streams,
            )
            self.changes += 1

    def first_token(self, key: AttemptKey, now: float, progress: Progress | None = None) -> Outcome | None:
        """The attempt's first token has come: its prefill is done. Only the first call counts.

        What is known of the attempt by then, its TTFT measured, or None where it does not count.
        `progress` says from now on how far its answer is, where that is counted.
        """
        with self._lock:
            attempt = self._open.get(key)
            if attempt is None or attempt.first_token_s is not None:
                return None
            attempt.first_token_s = now
            if attempt.prediction is not None:
                self._columns.first_token(attempt.slot, attempt.sent_s, now)
            if progress is not None:
                self._streams[key] = Stream(attempt.deployment, progress, now)
            self.changes += 1
            ttft_s = max(now - attempt.sent_s, 0.0)
            return Outcome(
                deployment=attempt.deployment,
                closed_by="first-token",
                predicted=attempt.prediction,
                input_tokens=attempt.input_tokens,
                in_flight=attempt.in_flight,
                pending_prefill_tokens=attempt.pending_prefill_tokens,
                open_s=ttft_s,
                ttft_s=ttft_s,
                first_token_told=True,
            )

    def close(
        self,
        key: AttemptKey,
        now: float,
        closed_by: str,
        *,
        output_tokens: int | None = None,
        input_tokens: int | None = None,
        cost_usd: float | None = None,
        error: str | None = None,
        ttft_s: float | None = None,
    ) -> Outcome | None:
        """End an attempt; what was measured of it may be given, or follow later by another way.

        None if it is not open: it was closed before, or never opened. Nothing changes then.
        """
        with self._lock:
            attempt = self._open.get(key)
            if attempt is None:
                return None
            return self._close(
                attempt,
                now,
                closed_by,
                output_tokens=output_tokens,
                input_tokens=input_tokens,
                cost_usd=cost_usd,
                error=error,
                ttft_s=ttft_s,
            )

    def expire(self, now: float) -> list[Outcome]:
        """Close all attempts whose lease has ended, and report those that had to make room before."""
        with self._lock:
            outcomes, self._crowded_out = self._crowded_out, []
            ended = np.flatnonzero(self._columns.lease_end[: len(self._by_slot)] <= now)
            # Closing moves other attempts between slots: pick them out before closing any.
            for attempt in [self._by_slot[slot] for slot in ended]:
                outcomes.append(self._close(attempt, now, "lease"))
            return outcomes

    def slower(self, deployment: str, tpot_s: float) -> None:
        """What is open on the deployment is seen to be written no faster than a token every `tpot_s`.

        It is then late by that, and not by what was predicted of it.
        """
        with self._lock:
            self._columns.slower(len(self._by_slot), self._index.row(deployment), at_least(1e-6, tpot_s))

    def streams(self, most: int) -> list[Stream]:
        """Streams that have begun and are counted: at most so many, and the others the next time."""
        with self._lock:
            keys = list(islice(self._streams, most))
            for key in keys:
                self._streams.move_to_end(key)
            return [self._streams[key] for key in keys]

    def is_open(self, key: AttemptKey) -> bool:
        """Whether the attempt still counts."""
        return key in self._open

    def latest_open(self, call_id: str, deployment: str | None = None) -> AttemptKey | None:
        """The call's newest attempt that is still open: on `deployment` if there is one, else at all.

        A call has several at once only where a client gives requests of its own the same id.
        """
        with self._lock:
            keys = [AttemptKey(call_id, attempt) for attempt in self._calls.open_attempts(call_id)]
            there = [key for key in keys if self._open[key].deployment == deployment]
            found = there or keys
            return found[-1] if found else None

    def next_attempt(self, call_id: str) -> int:
        """The number of the call's next attempt; 0 for a call that is not remembered."""
        with self._lock:
            return self._calls.attempts(call_id)

    def tried(self, call_id: str) -> frozenset[str]:
        """Deployments that attempts of the call were sent to, open or closed."""
        with self._lock:
            return self._calls.tried(call_id)

    def failed(self, call_id: str) -> frozenset[str]:
        """Deployments that attempts of the call have failed on."""
        with self._lock:
            return self._calls.failed(call_id)

    def open_count(self, deployment: str) -> int:
        """Open attempts on the deployment."""
        with self._lock:
            row = self._index.find(deployment)
            if row is None:
                return 0
            return int(np.count_nonzero(self._columns.row[: len(self._by_slot)] == row))

    def counts(self) -> FloatArray:
        """Open attempts per row of the index."""
        with self._lock:
            rows = self._columns.row[: len(self._by_slot)]
            return np.bincount(rows, minlength=len(self._index)).astype(np.float64)

    def __len__(self) -> int:
        return len(self._open)

    def sums(self, now: float) -> InstanceState:
        """Load of the open attempts per row of the index; never negative."""
        with self._lock:
            return self._columns.sums(len(self._by_slot), len(self._index), now)

    def decode_rates(self) -> FloatArray:
        """Tokens per second at which the pending decode of each row of the index falls."""
        with self._lock:
            return self._columns.decode_rates(len(self._by_slot), len(self._index))

    def overdue(self, now: float) -> FloatArray:
        """How many times slower than predicted each row shows itself, by attempts still open; >= 1.

        1 + (time that attempts are overdue) / (time predicted for all that are open): one straggler
        among many says little, a deployment that answers nobody says more with every second.
        """
        with self._lock:
            return self._columns.overdue(len(self._by_slot), len(self._index), now)

    def _close(
        self,
        attempt: _Attempt,
        now: float,
        closed_by: str,
        *,
        output_tokens: int | None = None,
        input_tokens: int | None = None,
        cost_usd: float | None = None,
        error: str | None = None,
        ttft_s: float | None = None,
    ) -> Outcome:
        del self._open[attempt.key]
        stream = self._streams.pop(attempt.key, None)
        self._calls.closed(*attempt.key, None if error is None else attempt.deployment)
        last = self._by_slot.pop()
        if last is not attempt:
            self._columns.move(last.slot, attempt.slot)
            self._by_slot[attempt.slot] = last
            last.slot = attempt.slot
        self.changes += 1
        self.closed[closed_by] += 1
        open_s = max(now - attempt.sent_s, 0.0)
        if ttft_s is None and attempt.first_token_s is not None:
            ttft_s = max(attempt.first_token_s - attempt.sent_s, 0.0)
        return Outcome(
            deployment=attempt.deployment,
            closed_by=closed_by,
            predicted=attempt.prediction,
            input_tokens=attempt.input_tokens if input_tokens is None else input_tokens,
            in_flight=attempt.in_flight,
            pending_prefill_tokens=attempt.pending_prefill_tokens,
            open_s=open_s,
            ttft_s=ttft_s,
            tpot_s=time_per_output_token(open_s, ttft_s, output_tokens),
            output_tokens=output_tokens,
            cost_usd=cost_usd,
            error=error,
            chunks=0 if stream is None else stream.progress.chunks,
            call_id=attempt.key.call_id,
            attempt=attempt.key.attempt,
        )


def time_per_output_token(e2e_s: float, ttft_s: float | None, output_tokens: int | None) -> float | None:
    """(end - first token) / (output tokens - 1) in s; None where it cannot be said."""
    if ttft_s is None or output_tokens is None or output_tokens < 2 or e2e_s < ttft_s:
        return None
    return (e2e_s - ttft_s) / (output_tokens - 1)
