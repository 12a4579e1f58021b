"""What one worker believes of its deployments: how quick they are, whether they answer, what their quota is.

Beliefs come from outcomes, which are classed before they teach (`core/evidence`), and age where none come.
They belong to what serves: a deployment that is edited under its old id starts anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import islice

from rb_litellm.core.availability import Availability
from rb_litellm.core.evidence import TEACHES, Evidence, evidence_of
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency import LatencyPrior
from rb_litellm.core.latency_learning import LatencyLearner
from rb_litellm.core.learned import LearnedTimes
from rb_litellm.core.quota import Quotas
from rb_litellm.core.residuals import Residuals
from rb_litellm.core.streams import Stream
from rb_litellm.core.trials import Trials
from rb_litellm.core.types import FloatArray, IntArray, Outcome
from rb_litellm.state.gauges import wire_name
from rb_litellm.state.reckoning import Reckoner

Identity = tuple[str, str, str, LatencyPrior]
"""Tier, model, what serves, prior."""
MAX_STREAMS_PER_STEP = 512
"""Open streams that are observed in one step; the others are in the next."""
AGE_EVERY_S = 1.0
"""Beliefs age in steps of so long."""
MAX_LEARNED = 4096
"""Deployments that are shared with other workers, and kept of what they share."""


class Beliefs:
    """Of a growing number of deployments, by rows from 0 in the order in which they are met. Not thread-safe.

    Times are in s on one monotonic clock.
    """

    def __init__(self, reckoner: Reckoner, learner: LatencyLearner) -> None:
        self._reckoner = reckoner
        self.learner = learner
        self.residuals = Residuals()
        """Measured against predicted latency of each tier, for P(latency <= limit)."""
        self.trials = Trials()
        self._availability = Availability()
        self._quotas = Quotas()
        self._aged_s = -math.inf
        self._rows: dict[str, int] = {}
        """The row of each deployment as it is now,"""
        self._rows_by_identity: dict[tuple[str, Identity], int] = {}
        """and of each that it ever was."""
        self._changed_s: dict[str, float] = {}
        """When a deployment became another one under its old id."""
        self._names: list[str] = []
        """By row, what workers call it among themselves."""
        self._heard: dict[str, LearnedTimes] = {}
        self._adopted_s: dict[int, float] = {}
        """When each row was last measured by another worker, as far as that was taken over."""
        self._now = 0.0

    def __len__(self) -> int:
        return len(self._names)

    # For decisions

    def age(self, now: float) -> None:
        """Let the time pass; cheap enough for every decision."""
        self._now = max(self._now, now)
        if now - self._aged_s >= AGE_EVERY_S:
            self._aged_s = now
            self.learner.age(now)

    def row(self, deployment: Deployment) -> int:
        """The row of a deployment, which is new where it was not met before as it is now."""
        identity = identity_of(deployment)
        row = self._rows_by_identity.get((deployment.id, identity))
        if row is None:
            row = self.learner.add(deployment.tier, deployment.prior)
            self._rows_by_identity[deployment.id, identity] = row
            for its in (self.trials, self._availability, self._quotas):
                its.add()
            self._names.append(learned_name(deployment.id, identity))
            self._adopt(row)
        if self._rows.get(deployment.id, row) != row:
            self._changed_s[deployment.id] = self._now
        self._rows[deployment.id] = row
        return row

    def slowdown(self, rows: IntArray, now: float) -> FloatArray | None:
        """(n,) by how much times on these rows count for more, for failures and quotas; None for nothing."""
        slower: FloatArray | None = None
        if self._availability.any_failed:
            slower = self._availability.factor(rows, now)
        if self._quotas.any_known:
            full = self._quotas.factor(rows, now)
            slower = full if slower is None else slower * full
        return slower

    def sent(self, row: int, now: float, explored: bool) -> None:
        """A request goes there; `explored` where it would not be the best choice."""
        self._quotas.sent(row, now)
        if not explored:
            self.trials.satisfied(row)

    # From outcomes

    def told_quota(self, deployment: str, headers: Mapping[str, object], now: float) -> None:
        """An answer of this deployment came with these headers, which may speak of its quota."""
        row = self._rows.get(deployment)
        if row is not None:
            self._quotas.told(row, headers, now)

    def first_token(self, outcome: Outcome) -> None:
        """Let the latency model learn from the first token of an attempt that is still open."""
        row = self._rows.get(outcome.deployment)
        if row is not None and not self._is_of_another(outcome):
            self.learner.first_token(row, outcome)

    def observe_streams(self, streams: Iterable[Stream], now: float) -> None:
        """Let the latency model learn from the progress of open streams; call it about once a second."""
        contradicted = set(self.learner.contradicted.tolist())
        watched: dict[str, list[Stream]] = {id_: [] for id_, row in self._rows.items() if row in contradicted}
        for stream in streams:
            if stream.deployment in self._rows:
                watched.setdefault(stream.deployment, []).append(stream)
        in_flight = self._reckoner.state(now).in_flight
        for deployment, its in watched.items():
            load = float(in_flight[self._reckoner.row(deployment)])
            tpot_s = self.learner.observe_streams(self._rows[deployment], load, its, now)
            if tpot_s is not None:
                self._reckoner.cap_decode_rate(deployment, tpot_s)

    def learn(self, outcome: Outcome) -> None:
        """Let the latency model learn from a closed attempt; unknown deployments are skipped."""
        row = self._rows.get(outcome.deployment)
        if row is None or self._is_of_another(outcome):
            return
        at_s = self._now if outcome.at_s is None else outcome.at_s
        evidence = evidence_of(outcome)
        taught = TEACHES[evidence]
        self.residuals.learn(self.learner.tier_row(row), outcome)
        self.learner.observe(row, outcome)
        if taught.availability is not None or taught.lower_bound:
            self._availability.observe(row, taught.availability is True, at_s)
        if evidence is Evidence.LIMITED:
            self._quotas.refused(row, at_s)
        if taught.times:
            self.trials.heard(row, _log_error(outcome))
        elif evidence not in (Evidence.UNTIMED, Evidence.UNKNOWN):
            self.trials.heard(row, math.inf)

    def learned(self, since_s: float) -> dict[str, LearnedTimes]:
        """What this worker has measured itself since then, by a name of what serves: at most MAX_LEARNED."""
        found: dict[str, LearnedTimes] = {}
        for row in self._rows.values():
            times = self.learner.learned(row)
            if times is not None and times.seen_s > max(since_s, self._adopted_s.get(row, -math.inf)):
                found[self._names[row]] = times
                if len(found) >= MAX_LEARNED:
                    break
        return found

    def adopt(self, learned: Mapping[str, LearnedTimes]) -> None:
        """Take over what other workers have measured, of deployments that are met later, too."""
        self._heard = dict(islice(learned.items(), MAX_LEARNED))
        for row in self._rows.values():
            self._adopt(row)

    def _adopt(self, row: int) -> None:
        times = self._heard.get(self._names[row])
        if times is not None and self.learner.adopt(row, times):
            self._adopted_s[row] = times.seen_s

    def _is_of_another(self, outcome: Outcome) -> bool:
        """Whether the attempt was sent to what the deployment was before it was edited."""
        changed_s = self._changed_s.get(outcome.deployment)
        if changed_s is None or outcome.at_s is None:
            return False
        return outcome.at_s - outcome.open_s < changed_s


def identity_of(deployment: Deployment) -> Identity:
    """What serves under a deployment's id: with another of these it is another deployment."""
    return deployment.tier, deployment.model, deployment.serves, deployment.prior


def learned_name(deployment: str, identity: Identity) -> str:
    """What workers call a deployment with this identity when they share what they learned."""
    digest = blake2b(repr(identity).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{wire_name(deployment)}|{digest}"


def _log_error(outcome: Outcome) -> float:
    """Measured / forecast time at the length that the answer came to have, in log."""
    predicted = outcome.predicted
    if predicted is None or outcome.open_s <= 0.0:
        return 0.0
    tokens = predicted.output_tokens if outcome.output_tokens is None else outcome.output_tokens
    expected_s = predicted.ttft_s + max(tokens - 1.0, 0.0) * predicted.tpot_s
    return math.log(outcome.open_s / expected_s) if expected_s > 0.0 else 0.0
