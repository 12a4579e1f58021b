"""What one worker believes of its deployments: how quick they are, whether they answer, what their quota is.

Beliefs come from outcomes, which are classed before they teach (`latency.learning.evidence`), and age where
none come. They belong to what serves (`identities`): a deployment that is edited under its old id starts
anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from itertools import islice

from rb_litellm.balancing.identities import Identities
from rb_litellm.core.decision.exploring.trials import Trials
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.learning.evidence import (
    TEACHES,
    Evidence,
    evidence_of,
    has_length,
    log_error,
)
from rb_litellm.core.latency.learning.learned import LearnedTimes
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.learning.residuals import Residuals
from rb_litellm.core.latency.service_times import Due, ServiceTimes
from rb_litellm.core.level_lengths import LevelLengths
from rb_litellm.core.limits.availability import Failing
from rb_litellm.core.limits.quota import Quotas
from rb_litellm.core.limits.reliability import Reliability
from rb_litellm.core.limits.windows import Windows
from rb_litellm.core.servers.cache_writes import CacheWrites
from rb_litellm.core.servers.keeping import Keeping
from rb_litellm.core.servers.slots import Slots
from rb_litellm.core.servers.streams import Stream
from rb_litellm.core.types import FloatArray, IntArray, Outcome, Seen
from rb_litellm.state.reckoning import Reckoner

MAX_STREAMS_PER_STEP = 512
"""Open streams that are observed in one step; the others are in the next."""
AGE_EVERY_S = 1.0
"""Beliefs age in steps of so long."""
MAX_LEARNED = 4096
"""Deployments that are shared with other workers, and kept of what they share."""
_NOBODYS = -1
"""In the place of a row."""


class Beliefs:
    """Of deployments, by rows from 0; those that are gone leave theirs to others. Not thread-safe.

    Times are in s on one monotonic clock.
    """

    def __init__(self, reckoner: Reckoner, learner: LatencyLearner) -> None:
        self._reckoner = reckoner
        self.learner = learner
        self.residuals = Residuals()
        """Measured against predicted latency of each tier, for P(latency <= limit)."""
        self.trials = Trials()
        self.keeping = Keeping()
        """How much each engine keeps of what it was sent, by the learner's rows,"""
        self.cache_writes = CacheWrites()
        """and how much it writes into a cache for which it charges."""
        self.slots = Slots()
        """How many requests each server runs at once."""
        self._service_times = ServiceTimes(learner, self.slots, self.keeping)
        self._reliability = Reliability()
        self.outages = self._reliability.outages
        """Which deployments answer nobody."""
        self.windows = Windows()
        """What fits into each, as their servers state it."""
        self.level_lengths = LevelLengths()
        """How long the answers of each level of effort are."""
        self.later: Callable[[Callable[[], None]], None] = _at_once
        """Does what can wait when there is time for it, in order."""
        self._failing_elsewhere: Mapping[str, Sequence[Seen]] = {}
        self._quotas = Quotas()
        self._aged_s = -math.inf
        self._identities = Identities()
        self._pace_rows: list[int] = []
        """By row, the learner's row: deployments that one engine serves have the same."""
        self._engines: dict[tuple[str, str], int] = {}
        """The learner's row of each engine, by server and engine,"""
        self._on_server: dict[int, set[int]] = {}
        """and all of each server."""
        self._met: tuple[Deployment, ...] = ()
        """The candidates that were met last."""
        self._heard: dict[str, LearnedTimes] = {}
        self._adopted_s: dict[int, float] = {}
        """When each row was last measured by another worker, as far as that was taken over."""
        self._now = 0.0
        self._taken_over: set[int] = set()

    def __len__(self) -> int:
        return len(self._identities)

    # For decisions

    def age(self, now: float) -> None:
        """Let the time pass; cheap enough for every decision."""
        self._now = max(self._now, now)
        if now - self._aged_s >= AGE_EVERY_S:
            self._aged_s = now
            self.learner.age(now)
        failing = self._reckoner.failing_elsewhere()
        if failing is not self._failing_elsewhere:
            self._hear_failures(failing, now)

    def _hear_failures(self, failing: Mapping[str, Sequence[Seen]], now: float) -> None:
        for name in {**self._failing_elsewhere, **failing}:
            row = self._identities.by_wire_name.get(name)
            if row is not None:
                self._reliability.heard(row, failing.get(name, ()), now)
        self._reliability.availability.look()
        self._failing_elsewhere = failing

    def failing(self, now: float) -> dict[int, Seen]:
        """What was seen here of what fails, by row of the index, with times as minus their ages."""
        rows = self._identities.rows
        if not (told := self._reliability.told(rows.values(), now)):
            return {}
        return {self._reckoner.row(id_): told[row] for id_, row in rows.items() if row in told}

    def row(self, deployment: Deployment) -> int:
        """The row of a deployment, which is new where it was not met before as it is now."""
        row, new = self._identities.row(deployment)
        if new:
            if row == len(self._pace_rows):
                self._pace_rows.append(-1)
                for its in (self.trials, self._reliability, self._quotas, self.windows):
                    its.add()
            self._pace_rows[row] = self._pace_row(deployment)
            self._adopt(row, deployment.id)
        return row

    def forget(self, living: Container[str]) -> list[int]:
        """Deployments other than these are gone, with nothing open there; their rows are others' from now on.

        A row that is left is as one that was just added, so that nothing of the one before stays to the next.
        """
        gone = self._identities.others_than(living)
        if not gone:
            return []
        left = [row for deployment in gone for row in self._identities.forget(deployment)]
        for row in left:
            for its in (self.trials, self._quotas, self.windows):
                its.forget(row)
            self._adopted_s.pop(row, None)
        self._reliability.forget(left)
        self._met = ()
        used = {self._pace_rows[row] for row in set(range(len(self._pace_rows))).difference(left)}
        paces = {self._pace_rows[row] for row in left}.difference(used, (_NOBODYS,))
        for pace in paces:
            self.learner.forget(pace)
            self.keeping.forget(pace)
            self.cache_writes.forget(pace)
        self._service_times.forget(paces)
        for row in left:
            self._pace_rows[row] = _NOBODYS
        self._engines = {engine: pace for engine, pace in self._engines.items() if pace not in paces}
        for server in list(self._on_server):
            self._on_server[server] -= paces
            if not self._on_server[server]:
                del self._on_server[server]
                self.slots.forget(server)
                self._service_times.forget_server(server)
        return left

    def taken_over(self) -> set[int]:
        """The learner's rows that have become other deployments' since this was asked last."""
        if not self._taken_over:
            return self._taken_over
        found, self._taken_over = self._taken_over, set()
        return found

    def met(self, deployments: tuple[Deployment, ...], rows: IntArray) -> None:
        """A decision is about these N deployments: from now on their ids stand for these rows (N,)."""
        several = self._identities.several
        if several and deployments is not self._met:
            self._met = deployments
            for deployment, row in zip(deployments, rows.tolist(), strict=True):
                if deployment.id in several:
                    self._identities.met(deployment.id, row, self._now)

    def pace_row(self, row: int) -> int:
        """The learner's row of a deployment at this row."""
        return self._pace_rows[row]

    def _pace_row(self, deployment: Deployment) -> int:
        self._reckoner.place(deployment.id, deployment.server)
        server = self._reckoner.server(deployment.id)
        engine = deployment.server, deployment.engine
        pace = self._engines.get(engine) if all(engine) else None
        if pace is None:
            known = len(self.learner)
            pace = self.learner.add(deployment.tier, deployment.prior)
            if pace == known:
                self.keeping.add()
                self.cache_writes.add()
            else:
                self._taken_over.add(pace)
            if all(engine):
                self._engines[engine] = pace
        self._on_server.setdefault(server, set()).add(pace)
        self.slots.assume(server, deployment.prior.slots, deployment.prior.slots_told)
        self._run_at_once(server)
        return pace

    def _run_at_once(self, server: int) -> None:
        slots = self.slots.of(server)
        if slots is not None:
            for pace in self._on_server.get(server, ()):
                self.learner.run_at_once(pace, slots)

    def slowdown(self, rows: IntArray, now: float) -> FloatArray | None:
        """(n,) by how much times on these rows count for more, for their quotas; None for nothing."""
        return self._quotas.factor(rows, now) if self._quotas.any_known else None

    def failures(self, rows: IntArray, now: float) -> Failing | None:
        """What attempts that fail cost on these rows; None where none has failed lately."""
        return self._reliability.availability.failing(rows, now)

    def chances_to_fail(self, rows: IntArray, now: float) -> FloatArray:
        """(4, n) by kind, in the order of `Failure`, to show to people."""
        return self._reliability.availability.chances(rows, now)

    def sent(self, row: int, now: float, explored: bool) -> None:
        """A request goes there; `explored` where it would not be the best choice."""
        self._quotas.sent(row, now)
        self.outages.sent(row, now)
        if not explored:
            self.trials.satisfied(row)

    # From outcomes

    def told_quota(self, deployment: str, headers: Mapping[str, object], now: float) -> None:
        """An answer of this deployment came with these headers, which may speak of its quota."""
        row = self._identities.rows.get(deployment)
        if row is not None:
            self._quotas.told(row, headers, now)

    def told_load(
        self, deployments: Iterable[str], running: float, waiting: float, cache_use: float | None
    ) -> None:
        """The server of these deployments reports its load."""
        for server in {self._reckoner.server(deployment) for deployment in deployments}:
            self.slots.told(server, running, waiting, cache_use)
            self._run_at_once(server)

    def stated_slots(self, deployments: Iterable[str], slots: float) -> None:
        """The server of these deployments says how many requests it runs at once."""
        for server in {self._reckoner.server(deployment) for deployment in deployments}:
            self.slots.stated(server, slots)
            self._run_at_once(server)

    def stated_window(self, deployments: Iterable[str], tokens: int | None) -> None:
        """The server of these deployments states its context window; None where it states none."""
        for deployment in deployments:
            row = self._identities.rows.get(deployment)
            if row is not None:
                self.windows.stated(row, tokens)

    def waits_for_end(self, outcome: Outcome) -> bool:
        """Whether the first token of a stream teaches more when the stream is over."""
        return self._service_times.waits_for_end(self._reckoner.server(outcome.deployment), outcome)

    def first_token(self, outcome: Outcome) -> None:
        """Let the latency model learn from the first token of an attempt that is still open."""
        row = self._identities.row_of(outcome)
        if row is not None:
            pace, server = self._pace_rows[row], self._reckoner.server(outcome.deployment)
            served = self._service_times.of_first_token(pace, server, outcome)
            self._run_at_once(server)
            if served is not None:
                self.learner.first_token(pace, served)

    def observe_streams(self, streams: Iterable[Stream], now: float) -> None:
        """Let the latency model learn from the progress of open streams; call it about once a second."""
        contradicted = set(self.learner.contradicted.tolist())
        watched: dict[int, list[Stream]] = {}
        deployments: dict[int, list[str]] = {}
        for deployment, row in self._identities.rows.items():
            pace = self._pace_rows[row]
            deployments.setdefault(pace, []).append(deployment)
            if pace in contradicted:
                watched.setdefault(pace, [])
        for stream in streams:
            of = stream.sent_to
            if of is None:
                of = self._identities.rows.get(stream.deployment)
            else:
                of = self._identities.still(of, stream.deployment)
            if of is not None:
                pace = self._pace_rows[of]
                watched.setdefault(pace, []).append(stream)
                if pace not in deployments:
                    deployments[pace] = [stream.deployment]
        in_flight = self._reckoner.state(now).in_flight
        for pace, its in watched.items():
            load = float(in_flight[self._reckoner.row(deployments[pace][0])])
            tpot_s = self.learner.observe_streams(pace, load, its, now)
            if tpot_s is not None:
                for deployment in deployments[pace]:
                    self._reckoner.cap_decode_rate(deployment, tpot_s)

    def learn(self, outcome: Outcome) -> None:
        """Let the latency model learn from a closed attempt; unknown deployments are skipped."""
        row = self._identities.row_of(outcome)
        if row is None:
            return
        at_s = self._now if outcome.at_s is None else outcome.at_s
        if outcome.level is not None and has_length(outcome):
            self.level_lengths.learn(outcome.level, float(outcome.output_tokens or 0))
        evidence = evidence_of(outcome)
        taught = TEACHES[evidence]
        pace = self._pace_rows[row]
        self.residuals.learn(self.learner.tier_row(pace), outcome)
        server = self._reckoner.server(outcome.deployment)
        if taught.times:
            self.keeping.told(pace, outcome)
            self.cache_writes.told(pace, outcome)
        for number, due in enumerate(self._service_times.ended(pace, server, outcome)):
            # Many may have waited for this one, and each takes as long as any outcome.
            teach = partial(self._learn_times, server, due)
            self.later(teach) if number else teach()
        if taught.availability is not None or taught.lower_bound:
            self._reliability.learn(row, outcome, taught.availability is True, at_s)
        if evidence is Evidence.LIMITED:
            self._quotas.refused(row, at_s)
        if taught.times:
            self.trials.heard(row, log_error(outcome))
        elif evidence not in (Evidence.UNTIMED, Evidence.UNKNOWN):
            self.trials.heard(row, math.inf)

    def _learn_times(self, server: int, due: Due) -> None:
        served = self._service_times.of_end(server, due)
        self._run_at_once(server)
        if served is not None:
            self.learner.observe(due.row, served)

    def learned(self, since_s: float) -> dict[str, LearnedTimes]:
        """What this worker has measured itself since then, by a name of what serves: at most MAX_LEARNED."""
        found: dict[str, LearnedTimes] = {}
        for deployment, row in self._identities.rows.items():
            times = self.learner.learned(self._pace_rows[row])
            if times is not None and times.seen_s > max(since_s, self._adopted_s.get(row, -math.inf)):
                server = self._reckoner.server(deployment)
                found[self._identities.names[row]] = times._replace(slots=self.slots.learned(server))
                if len(found) >= MAX_LEARNED:
                    break
        return found

    def adopt(self, learned: Mapping[str, LearnedTimes]) -> None:
        """Take over what other workers have measured, of deployments that are met later, too."""
        self._heard = dict(islice(learned.items(), MAX_LEARNED))
        for deployment, row in self._identities.rows.items():
            self._adopt(row, deployment)

    def _adopt(self, row: int, deployment: str) -> None:
        times = self._heard.get(self._identities.names[row])
        if times is None:
            return
        server = self._reckoner.server(deployment)
        self.slots.adopt(server, times.slots)
        self._run_at_once(server)
        if self.learner.adopt(self._pace_rows[row], times):
            self._adopted_s[row] = times.seen_s


def _at_once(action: Callable[[], None]) -> None:
    action()
