"""The open attempts of this worker: exact, idempotent, leased.

An attempt is opened at the pick and closed exactly once, by whichever of many events comes first;
closes that come late or twice change nothing. An attempt that no event ever closes ends by its lease.
Loads are computed from the open attempts at every read, so no counter exists that could drift.

What an attempt still has to do is reckoned from elapsed time: its prefill shrinks to nothing as its
first token draws near, and its pending decode tokens fall by one per predicted TPOT from then on.

The caller passes the time, monotonic seconds. Safe to use from several threads.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import RLock
from typing import NamedTuple

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState, IntArray, Outcome, Prediction
from rb_litellm.state.calls import CallLog
from rb_litellm.state.index import DeploymentIndex

MAX_OPEN = 65_536
"""Attempts open at once. At the bound the one whose lease ends first is closed to make room."""
MAX_CLOSED_CALLS = 8_192
"""Calls remembered after their last attempt was closed, for retries: the latest ones."""

_REMAINDER = 1.0 / 16.0
"""An attempt that outlives its prediction still counts for this share of it, and for one token at least."""
_PATIENCE = 2.0
"""An attempt is overdue once it has been open this many times its predicted time,"""
_GRACE_S = 1.0
"""and this much longer, so that the noise of short requests is no evidence."""


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
        return min(_at_least(self.floor_s, self.factor * expected), self.ceiling_s)


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
        self._columns = _Columns()
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
            self._columns.write(attempt, self._index.row(deployment), now + lease_s, streams)
            self.changes += 1

    def first_token(self, key: AttemptKey, now: float) -> Outcome | None:
        """The attempt's first token has come: its prefill is done. Only the first call counts.

        What is known of the attempt by then, its TTFT measured, or None where it does not count.
        """
        with self._lock:
            attempt = self._open.get(key)
            if attempt is None or attempt.first_token_s is not None:
                return None
            attempt.first_token_s = now
            self._columns.first_token(attempt, now)
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
            call_id=attempt.key.call_id,
            attempt=attempt.key.attempt,
        )


def time_per_output_token(e2e_s: float, ttft_s: float | None, output_tokens: int | None) -> float | None:
    """(end - first token) / (output tokens - 1) in s; None where it cannot be said."""
    if ttft_s is None or output_tokens is None or output_tokens < 2 or e2e_s < ttft_s:
        return None
    return (e2e_s - ttft_s) / (output_tokens - 1)


def _at_least(low: float, value: float) -> float:
    """The value within [low, 1e12]; `low` for NaN too, so that no odd prediction reaches the sums."""
    return min(value, 1e12) if value > low else low


class _Columns:
    """One slot per open attempt, in arrays that grow by doubling. Only the first `count` slots are in use."""

    def __init__(self, capacity: int = 256) -> None:
        self.row: IntArray = np.zeros(capacity, dtype=np.int64)
        # The sums read four of them together, so they are rows of one matrix.
        self._data: FloatArray = np.zeros((9, capacity))
        self._name_columns()

    def _name_columns(self) -> None:
        (
            self.lease_end,
            self.first_s,  # when the first token comes or came
            self.input_tokens,
            self.prefill_rate,  # tokens/s at which its prefill shrinks towards first_s
            self.output_tokens,
            self.least_decode,
            self.decode_rate,
            self.e2e_s,
            self.overdue_s,  # when it becomes overdue
        ) = self._data

    def write(self, attempt: _Attempt, row: int, lease_end: float, streams: bool) -> None:
        slot, p = attempt.slot, attempt.prediction
        if slot >= self.row.size:
            self.row = np.concatenate([self.row, np.zeros_like(self.row)])
            self._data = np.concatenate([self._data, np.zeros_like(self._data)], axis=1)
            self._name_columns()
        self.row[slot] = row
        if p is None:
            never = attempt.sent_s - 1e9
            self._data[:, slot] = (lease_end, never, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, np.inf)
            return
        ttft_s, e2e_s = _at_least(0.0, p.ttft_s), _at_least(1e-3, p.e2e_s)
        output_tokens = _at_least(0.0, p.output_tokens)
        expected_s = min(ttft_s, e2e_s) if streams else e2e_s
        self._data[:, slot] = (
            lease_end,
            attempt.sent_s + ttft_s,
            attempt.input_tokens,
            attempt.input_tokens / _at_least(1e-3, ttft_s - p.wait_s),
            output_tokens,
            min(output_tokens, max(1.0, output_tokens * _REMAINDER)),
            1.0 / _at_least(1e-6, p.tpot_s),
            e2e_s,
            attempt.sent_s + _PATIENCE * expected_s + _GRACE_S,
        )

    def first_token(self, attempt: _Attempt, now: float) -> None:
        slot, p = attempt.slot, attempt.prediction
        if p is not None:
            self.first_s[slot] = now
            self.overdue_s[slot] = attempt.sent_s + _PATIENCE * self.e2e_s[slot] + _GRACE_S

    def move(self, source: int, target: int) -> None:
        self.row[target] = self.row[source]
        self._data[:, target] = self._data[:, source]

    def sums(self, count: int, rows: int, now: float) -> InstanceState:
        if count == 0:
            return InstanceState.idle(rows)
        row = self.row[:count]
        decoding_s = now - self.first_s[:count]
        decode = self.output_tokens[:count] - np.maximum(decoding_s, 0.0) * self.decode_rate[:count]
        np.maximum(decode, self.least_decode[:count], out=decode)
        prefill = np.maximum(-decoding_s, 0.0) * self.prefill_rate[:count]
        np.minimum(prefill, self.input_tokens[:count], out=prefill)
        return InstanceState(
            np.bincount(row, minlength=rows).astype(np.float64),
            np.bincount(row, prefill, minlength=rows).astype(np.float64, copy=False),
            np.bincount(row, decode, minlength=rows).astype(np.float64, copy=False),
        )

    def decode_rates(self, count: int, rows: int) -> FloatArray:
        return np.bincount(self.row[:count], self.decode_rate[:count], minlength=rows).astype(np.float64)

    def overdue(self, count: int, rows: int, now: float) -> FloatArray:
        excess = now - self.overdue_s[:count]
        if count == 0 or excess.max() <= 0.0:
            return np.ones(rows)
        row = self.row[:count]
        late = np.bincount(row, np.maximum(excess, 0.0), minlength=rows)
        expected = np.bincount(row, self.e2e_s[:count], minlength=rows)
        return 1.0 + late / np.maximum(expected, 1e-3)
