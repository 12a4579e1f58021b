"""The decisions of this worker: the latest of each call, and recent ones with their score breakdowns.

It is not thread-safe by itself; its owner holds a lock to write or read.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import Outcome
from rb_litellm.telemetry.records.decision import DecisionRecord

MAX_OPEN = 8192
"""Attempts whose outcome is awaited, some 6 KB each; the oldest is dropped."""
MAX_FINISHED = 1024
"""Attempts whose record is kept after its outcome, for the headers and the log of their responses, about 6 MB
in all; the oldest is dropped."""
MAX_RECENT = 512
"""Decisions kept with their score breakdowns."""
MAX_RECENT_CANDIDATES = 65_536
"""Candidates in the breakdowns of all recent decisions together, about 10 MB; the oldest are dropped."""


@dataclass(slots=True)
class Recent:
    """A recent decision with its score breakdown, so that it can be explained and scored anew."""

    record: DecisionRecord
    breakdown: ScoreBreakdown | None
    """None where the fallback rule chose."""
    deployments: tuple[Deployment, ...]
    """The N deployments of the breakdown's arrays."""
    _at_random: tuple[float, float, float] | None = None

    def at_random(self) -> tuple[float, float, float] | None:
        """Expected quality, E2E and cost of a random candidate of the request; computed once."""
        if self._at_random is None and self.breakdown is not None and self.breakdown.offered.any():
            p, each = self.breakdown.predictions, self.breakdown.offered / self.breakdown.offered.sum()
            self._at_random = float(each @ p.quality), float(each @ p.times.e2e_s), float(each @ p.cost_usd)
        return self._at_random


class DecisionLog:
    """Bounded by MAX_OPEN, MAX_FINISHED, MAX_RECENT and MAX_RECENT_CANDIDATES."""

    def __init__(self) -> None:
        self._latest: dict[str, DecisionRecord] = {}
        """By call: of those that are kept in the two below, no others."""
        self._unfinished: OrderedDict[tuple[str, int], DecisionRecord] = OrderedDict()
        self._finished: deque[DecisionRecord] = deque()
        self._recent: deque[Recent] = deque()
        self._candidates = 0
        self.total = 0
        """Number of decisions ever made."""

    def add(
        self,
        record: DecisionRecord,
        breakdown: ScoreBreakdown | None = None,
        deployments: tuple[Deployment, ...] = (),
    ) -> None:
        """Keep a new decision."""
        self.total += 1
        self._latest[record.call_id] = record
        self._unfinished[record.call_id, record.attempt] = record
        if len(self._unfinished) > MAX_OPEN:
            self._drop(self._unfinished.popitem(last=False)[1])
        self._recent.append(Recent(record, breakdown, deployments))
        self._candidates += len(deployments)
        while len(self._recent) > MAX_RECENT or (
            self._candidates > MAX_RECENT_CANDIDATES and len(self._recent) > 1
        ):
            self._candidates -= len(self._recent.popleft().deployments)

    def finish(self, outcome: Outcome) -> DecisionRecord | None:
        """Add what was measured to the attempt's record and return it; None if it is no longer kept."""
        record = self._unfinished.pop((outcome.call_id, outcome.attempt), None)
        if record is not None:
            record.outcome = outcome
            self._finished.append(record)
            if len(self._finished) > MAX_FINISHED:
                self._drop(self._finished.popleft())
        return record

    def latest(self, call_id: str) -> DecisionRecord | None:
        """The record of the last decision of a call."""
        return self._latest.get(call_id)

    def recent(self, count: int = MAX_RECENT) -> Sequence[Recent]:
        """The last `count` decisions, the newest first."""
        newest_first = list(self._recent)[::-1]
        return newest_first[:count]

    def find(self, call_id: str) -> Recent | None:
        """The last recent decision of a call, with its score breakdown."""
        return next((one for one in reversed(self._recent) if one.record.call_id == call_id), None)

    def _drop(self, record: DecisionRecord) -> None:
        # A later attempt of the call has a record of its own.
        if self._latest.get(record.call_id) is record:
            del self._latest[record.call_id]
