"""The ledger: the open attempts of this worker. It is exact, idempotent and leased.

An attempt is opened at the pick and closed exactly once, by whichever of many events comes first. Late and
repeated closes change nothing. An attempt that no event closes ends with its lease (Gray and Cheriton,
Leases, SOSP 1989). Loads are computed from the open attempts at every read, so there is no counter that could
drift.

What an attempt still has to do is dead-reckoned from elapsed time: its pending prefill shrinks to zero as its
first token draws near, and from then on its pending decode tokens fall by one per predicted TPOT.

The caller passes the time, in monotonic seconds. The ledger is thread-safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from threading import RLock

import numpy as np

from rb_litellm.core.servers.streams import Progress, Stream
from rb_litellm.core.types import (
    NOTHING_SENT,
    Ahead,
    FloatArray,
    InstanceState,
    IntArray,
    Level,
    Outcome,
    Prediction,
    SentBefore,
)
from rb_litellm.state.attempt import Attempt, AttemptKey, LeaseRule
from rb_litellm.state.calls import CallLog
from rb_litellm.state.columns import Columns, at_least
from rb_litellm.state.departures import Departures
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.occupancy import Occupancy
from rb_litellm.state.open_streams import OpenStreams

MAX_OPEN = 65_536
"""Attempts open at once. At the bound the one whose lease ends first is closed to make room."""
_LATE_LOOKED_AT = 64
"""Late streams whose pace is looked at in one read."""
MAX_CLOSED_CALLS = 8_192
"""Closed calls that are remembered for retries: the latest ones."""


class Ledger:
    """Open attempts by key, and the load that they add up to per row of `index`."""

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
        """The rule for attempts opened from now on; it may be replaced."""
        self._max_open = max_open
        self._lock = RLock()
        self._open: dict[AttemptKey, Attempt] = {}
        self._by_slot: list[Attempt] = []
        self._columns = Columns()
        self._streams = OpenStreams()
        self._calls = CallLog(max_closed_calls)
        self._evicted: list[Outcome] = []
        self._departures = Departures()
        self._occupancy = Occupancy()
        self.changes = 0
        """Number of opens, first tokens and closes so far, to see whether anything changed."""
        self.closed: Counter[str] = Counter()
        """Number of attempts closed so far, by what closed them."""

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
        sent_before: SentBefore = NOTHING_SENT,
        saved_tokens: float = 0.0,
        join_steps: float | None = None,
        level: Level | None = None,
        answers: int = 1,
        sent_to: int | None = None,
    ) -> None:
        """Open an attempt, which counts from now on: for so many sequences as `answers` are asked for.

        `prediction` is None if the fallback rule placed it; then it counts as one in flight and no tokens.
        `in_flight` and `pending_prefill_tokens` are the load that it met, for the outcome. `streams` says
        that its first token will be seen, so that a missing one is evidence of slowness. `sent_before` is
        the beginning of its prompt that was, and `input_tokens` are fewer by `saved_tokens` for that.
        `sent_to` and `join_steps` are for the outcome, too.

        Raises:
            ValueError: this attempt was opened before.
        """
        with self._lock:
            self._calls.opened(key.call_id, key.attempt, deployment)
            if len(self._open) >= self._max_open:
                victim = self._by_slot[int(np.argmin(self._columns.lease_end[: len(self._by_slot)]))]
                self._evicted.append(self._close(victim, now, "bound"))
            row = self._index.row(deployment)
            server = self._index.server(row)
            # What it met that this worker has not sent.
            of_others = max(in_flight - self._occupancy.count(server), 0.0)
            attempt = Attempt(
                key,
                deployment,
                now,
                max(int(input_tokens), 0),
                prediction,
                in_flight + answers - 1,  # Each of its answers runs beside the others.
                pending_prefill_tokens,
                slot=len(self._by_slot),
                sent_before=sent_before,
                saved_tokens=saved_tokens,
                join_steps=join_steps,
                level=level,
                arrival=self._departures.arrived(server, now, answers),
                of_others=of_others,
                written_from=self._occupancy.changed(server, answers, now),
                answers=answers,
                sent_to=sent_to,
            )
            self._open[key] = attempt
            self._by_slot.append(attempt)
            lease_s = self.lease.lease_s(None if prediction is None else prediction.e2e_s)
            self._columns.write(
                attempt.slot,
                row,
                sent_s=now,
                lease_end_s=now + lease_s,
                input_tokens=attempt.input_tokens,
                prediction=prediction,
                streams=streams,
                answers=answers,
            )
            self.changes += 1

    def asked(self, key: AttemptKey, now: float) -> float | None:
        """The server is asked now: what passed since the pick was the proxy's time.

        Returns how long that was, or None if the attempt is not open, has begun, or was told of before.
        """
        with self._lock:
            attempt = self._open.get(key)
            if attempt is None or attempt.sending_s is not None or attempt.first_token_s is not None:
                return None
            attempt.sending_s = max(now - attempt.sent_s, 0.0)
            attempt.sent_s += attempt.sending_s
            attempt.written_from = self._occupancy.reading(attempt.arrival.server, now)
            return attempt.sending_s

    def level(self, key: AttemptKey) -> Level | None:
        """The level of effort that an open attempt was sent at; None where it has none, or is not open."""
        with self._lock:
            attempt = self._open.get(key)
            return None if attempt is None else attempt.level

    def forget_level(self, key: AttemptKey) -> None:
        """The attempt was sent without its level."""
        with self._lock:
            attempt = self._open.get(key)
            if attempt is not None:
                attempt.level = None

    def first_token(self, key: AttemptKey, now: float, progress: Progress | None = None) -> Outcome | None:
        """Record that the attempt's first token has come. Only the first call for an attempt counts.

        Returns the outcome so far, with its TTFT, or None if the attempt is not open or had its first token
        before. `progress` counts the chunks of its stream from now on, if given.
        """
        with self._lock:
            attempt = self._open.get(key)
            if attempt is None or attempt.first_token_s is not None:
                return None
            attempt.first_token_s = now
            self._departures.begun(attempt.arrival)
            attempt.written_from = self._occupancy.prefilled(
                attempt.arrival.server, attempt.input_tokens, now
            )
            if attempt.prediction is not None:
                self._columns.first_token(attempt.slot, attempt.sent_s, now)
            if progress is not None:
                stream = Stream(attempt.deployment, progress, now, attempt.sent_to)
                self._streams.begun(key, stream, attempt.arrival.server)
            self.changes += 1
            attempt.first_token_learned = True
            return attempt.outcome(now, "first-token", ahead=self._ahead(attempt))

    def put_off_first_token(self, key: AttemptKey) -> None:
        """Nothing is learned from the attempt's first token before its end, which has to tell all of it."""
        with self._lock:
            attempt = self._open.get(key)
            if attempt is not None:
                attempt.first_token_learned = False

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
        """Close an attempt, with what was measured of it so far.

        Returns its outcome, or None if it is not open: it was closed before, or never opened.
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

    def expire(
        self,
        now: float,
        alive: Callable[[AttemptKey], bool] = lambda _: False,
        renewed: Callable[[Outcome], None] = lambda _: None,
    ) -> list[Outcome]:
        """Close all attempts whose lease has ended, and report those that had to make room before.

        What is surely still open, because `alive` says so or because its stream has gone on, keeps counting
        as load for another lease, until the rule's ceiling. `renewed` is told of what has shown no sign of an
        answer by then.
        """
        with self._lock:
            outcomes, self._evicted = self._evicted, []
            ended = np.flatnonzero(self._columns.lease_end[: len(self._by_slot)] <= now)
            # Closing moves other attempts between slots, so collect them before closing any.
            for attempt in [self._by_slot[slot] for slot in ended]:
                left_s = attempt.sent_s + self.lease.ceiling_s - now
                written = self._streams.has_gone_on(attempt)
                if left_s > 0.0 and (written or alive(attempt.key)):
                    self._columns.lease_end[attempt.slot] = now + min(self.lease.floor_s, left_s)
                    if not written:
                        renewed(attempt.outcome(now, "lease", ahead=self._ahead(attempt)))
                else:
                    outcomes.append(self._close(attempt, now, "lease"))
            return outcomes

    def cap_decode_rate(self, deployment: str, tpot_s: float) -> None:
        """Let the open attempts on the deployment decode no faster than one token every `tpot_s`.

        They become overdue by that rate, and no longer by the one that was predicted.
        """
        with self._lock:
            self._columns.cap_decode_rate(
                len(self._by_slot), self._index.row(deployment), at_least(1e-6, tpot_s)
            )

    def streams(self, most: int) -> list[Stream]:
        """At most `most` streams that have begun and are counted; the next call returns the others first."""
        with self._lock:
            return self._streams.next(most)

    def latest_chunk_s(self, servers: IntArray) -> FloatArray | None:
        """(N,) when the latest chunk of an open stream came from each of these servers (N,); -inf for never,
        and None for nowhere."""
        with self._lock:
            return self._streams.latest_chunk_s(servers)

    def is_open(self, key: AttemptKey) -> bool:
        """Whether the attempt is open."""
        return key in self._open

    def latest_open(self, call_id: str, deployment: str | None = None) -> AttemptKey | None:
        """The call's newest open attempt: the newest on `deployment` if it has one there, else of all.

        A call has several open attempts only where a client gives several requests the same id.
        """
        with self._lock:
            keys = [AttemptKey(call_id, attempt) for attempt in self._calls.open_attempts(call_id)]
            if len(keys) > 1 and deployment is not None:
                keys = [key for key in keys if self._open[key].deployment == deployment] or keys
            return keys[-1] if keys else None

    def open_s(self, key: AttemptKey, now: float) -> float:
        """Seconds since an open attempt was sent; 0 where it is not open."""
        with self._lock:
            attempt = self._open.get(key)
            return 0.0 if attempt is None else max(now - attempt.sent_s, 0.0)

    def succeeded(self, call_id: str) -> None:
        """The call was answered: what it failed on before is no reason to avoid anything."""
        with self._lock:
            self._calls.succeeded(call_id)

    def next_attempt(self, call_id: str) -> int:
        """Number of the call's next attempt; 0 for a call that is not remembered."""
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

    def open_on(self) -> set[str]:
        """Deployments on which something is open."""
        with self._lock:
            return {attempt.deployment for attempt in self._by_slot}

    def forget(self, living: Container[str]) -> None:
        """Deployments other than these are gone: what is known of their servers alone is forgotten."""
        with self._lock:
            kept = {attempt.arrival.server for attempt in self._by_slot}
            kept.update(self._index.server(row) for row, id_ in enumerate(self._index.ids) if id_ in living)
            self._departures.forget(kept)
            self._occupancy.forget(kept)

    def open_count(self, deployment: str) -> int:
        """Number of open attempts on the deployment."""
        with self._lock:
            row = self._index.find(deployment)
            rows = self._columns.row[: len(self._by_slot)]
            return 0 if row is None else int(np.count_nonzero(rows == row))

    def counts(self) -> FloatArray:
        """Open attempts per row of the index."""
        with self._lock:
            rows = self._columns.row[: len(self._by_slot)]
            return np.bincount(rows, minlength=len(self._index)).astype(np.float64)

    def __len__(self) -> int:
        return len(self._open)

    def sums(self, now: float) -> InstanceState:
        """Load of the open attempts by row of the index; never negative."""
        with self._lock:
            return self._columns.sums(len(self._by_slot), len(self._index), now)

    def decode_rates(self) -> FloatArray:
        """Tokens per second at which the pending decode tokens of each row fall."""
        with self._lock:
            return self._columns.decode_rates(len(self._by_slot), len(self._index))

    def any_late(self, now: float) -> bool:
        """Whether an attempt is overdue; if none is, `overdue` is 1 everywhere."""
        with self._lock:
            return self._columns.any_late(len(self._by_slot), now)

    def overdue(self, now: float) -> FloatArray:
        """How many times slower than predicted each row is, judging by its open attempts; at least 1.

        1 + (time that attempts are overdue) / (time predicted for all that are open): one straggler
        among many says little, a deployment that answers nobody says more with every second. A stream that
        comes at the predicted pace says nothing, however long it is.
        """
        with self._lock:
            if self._streams:
                for slot in self._columns.late(len(self._by_slot), now)[:_LATE_LOOKED_AT]:
                    attempt, tokens_per_s = self._by_slot[slot], self._columns.decode_rate.item(slot)
                    if self._streams.is_on_pace(attempt, tokens_per_s, now):
                        self._columns.overdue_s[slot] = now + 1.0
            return self._columns.overdue(len(self._by_slot), len(self._index), now, self._index.by_server)

    def _close(
        self,
        attempt: Attempt,
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
        if attempt.first_token_s is None:
            self._departures.begun(attempt.arrival)
        self._departures.ended(attempt.arrival, now)
        server, prefilled = attempt.arrival.server, None
        mean = self._occupancy.mean(server, attempt.written_from, now)
        if attempt.first_token_s is not None:
            if mean is not None:
                prefilled = self._occupancy.met(server, attempt.written_from, mean)
        elif error is None:
            # When an answer in one piece began is not seen.
            self._occupancy.prefilled(server, attempt.input_tokens, now)
        self._occupancy.changed(server, -attempt.answers, now)
        return attempt.outcome(
            now,
            closed_by,
            output_tokens=output_tokens,
            input_tokens=input_tokens,
            cost_usd=cost_usd,
            error=error,
            ttft_s=ttft_s,
            chunks=self._streams.ended(attempt.key, server),
            ahead=None if attempt.first_token_learned else self._ahead(attempt),
            company=self._departures.company(attempt.arrival),
            beside=None if mean is None else max(mean - 1.0, 0.0) + attempt.of_others,
            prefilled=prefilled,
        )

    def _ahead(self, attempt: Attempt) -> Ahead | None:
        found = self._departures.ahead(attempt.arrival, attempt.sent_s)
        if found is None:
            return None
        # Those that ended while the request was still in the proxy kept it waiting no more.
        ended_s = tuple(max(s, 0.0) for s in found.ended_s) if attempt.sending_s else found.ended_s
        return Ahead(found.requests, ended_s, attempt.of_others)
