"""A load store in this process, which behaves as the one in Redis does (`state/test_stores.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

import numpy as np

from rb_litellm.core.grade_sums import MAX_NAMES, OF_ABILITIES, FadingSums, Grades, SumRule
from rb_litellm.core.types import IntArray
from rb_litellm.state.exchange.gauges import Gauge, StoredGauge
from rb_litellm.state.exchange.rows import loads_of, minutes_of
from rb_litellm.state.exchange.store import MAX_LEARNED, MAX_PEERS, Reading
from rb_litellm.state.exchange.wire import COLUMN, MAX_NOTE_BYTES, Heard, Told, WorkerLoad, bounded


@dataclass(slots=True)
class _Share:
    names: Sequence[str]
    table: IntArray
    up_s: float
    at_s: float
    until_s: float

    @property
    def in_flight(self) -> int:
        return int(self.table[:, COLUMN.in_flight].sum())


@dataclass(slots=True)
class _Graded:
    sums: FadingSums
    grades: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By call id, with when they came."""
    last: dict[str, int] = field(default_factory=dict)
    """The last exchange of each worker."""


class MemoryStore:
    """A dictionary with expiry. `clock` gives monotonic seconds."""

    kind = "memory"

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._learned: dict[str, bytes] = {}
        self._learned_until_s = 0.0
        self._graded: dict[SumRule, _Graded] = {}
        self._shares: dict[str, _Share] = {}
        self._notes: dict[str, tuple[int, float, bytes]] = {}
        self._note = 0
        self._heard: dict[str, int] = {}

    async def exchange(self, origin: str, told: Told, ttl_s: float, workers: bool = False) -> Heard:
        """Put `origin`'s load in the place of the one before, and get the sums of all others."""
        now = self._clock()
        self._shares[origin] = _Share(told.names, bounded(told.table), told.up_s, now, now + ttl_s)
        if told.note is not None and len(told.note) <= MAX_NOTE_BYTES:
            self._note += 1
            self._notes[origin] = (self._note, now, told.note)
        others = {name: share for name, share in self._living().items() if name != origin}
        row_of = {name: row for row, name in enumerate(told.names)}
        table = np.zeros((len(told.names), 4))
        for share in others.values():
            its = share.table.astype(np.float64)
            fallen = its[:, COLUMN.decode] - its[:, COLUMN.rate] * (now - share.at_s)
            its[:, COLUMN.decode] = np.maximum(fallen, its[:, COLUMN.in_flight])
            for name, figures in zip(share.names, its, strict=True):
                if (row := row_of.get(name)) is not None:
                    table[row] += figures
        heard = self._heard.get(origin, 0)
        self._heard[origin] = self._note
        return Heard(
            table,
            len(others),
            tuple(
                StoredGauge(name, now - at_s, note)
                for name, (number, at_s, note) in self._notes.items()
                if number > heard and name in others
            ),
            tuple(
                WorkerLoad(name, now - share.at_s, share.up_s, share.in_flight)
                for name, share in list(others.items())[:MAX_PEERS]
            )
            if workers
            else None,
        )

    async def share_learned(self, told: Mapping[str, bytes], ttl_s: float) -> dict[str, bytes]:
        """Leave what this worker has learned, and get what all have."""
        now = self._clock()
        if now > self._learned_until_s or len(self._learned) > MAX_LEARNED:
            self._learned.clear()
        self._learned.update(told)
        self._learned_until_s = now + ttl_s
        return dict(self._learned)

    async def share_grades(self, told: Grades, rule: SumRule = OF_ABILITIES) -> Grades:
        """Add to the sums of grades and to the grades of unknown calls, and get all."""
        now, held = self._clock(), self._graded.setdefault(rule, _Graded(FadingSums(rule)))
        grades = held.grades
        for call_id in [one for one, (_, at_s) in grades.items() if now - at_s >= rule.grades_ttl_s]:
            del grades[call_id]
        if not told.worker or held.last.get(told.worker) != told.number:
            held.last[told.worker] = told.number
            held.sums.add(told.sums, now)
            for call_id, score in told.unknown.items():
                if len(grades) < MAX_NAMES:
                    grades[call_id] = score, grades.get(call_id, (score, now))[1]
            for call_id in told.known:
                grades.pop(call_id, None)
        return Grades(held.sums.read(now), {call_id: score for call_id, (score, _) in grades.items()})

    async def remove(self, origin: str) -> None:
        """Take `origin`'s load away."""
        for held in (self._shares, self._notes, self._heard):
            held.pop(origin, None)

    async def read(self) -> Reading:
        """All loads that still count."""
        now = self._clock()
        return Reading(
            tuple(
                Gauge(
                    name,
                    now - share.at_s,
                    loads_of(share.names, share.table),
                    share.up_s,
                    used=minutes_of(share.names, share.table),
                )
                for name, share in self._living().items()
            )
        )

    async def close(self) -> None:
        """Nothing to close."""

    def _living(self) -> dict[str, _Share]:
        now = self._clock()
        for name in [name for name, share in self._shares.items() if share.until_s <= now]:
            del self._shares[name]
            self._notes.pop(name, None)
            self._heard.pop(name, None)
        return self._shares
