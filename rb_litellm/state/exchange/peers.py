"""What a worker last heard of the others, by row of its index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState, Seen
from rb_litellm.state.exchange.gauges import Gauge, wire_name
from rb_litellm.state.exchange.wire import WorkerLoad
from rb_litellm.state.index import DeploymentIndex

MAX_NOTED = 1_024
"""Workers whose notes are kept."""
_REMAINDER = 1.0 / 16.0
"""Least share of the peers' decode tokens that is left, since their attempts are not known to have ended."""


@dataclass(frozen=True, slots=True)
class Sums:
    """The added loads of workers, by row of the index."""

    loads: FloatArray
    """(N, 4) columns as in `wire.Columns`."""
    used: FloatArray | None
    """(2, N) requests and tokens that they sent in a minute; None where none is limited."""
    peers: int


NO_SUMS = Sums(np.zeros((0, 4)), None, 0)


@dataclass(frozen=True, slots=True)
class _Latest:
    gauges: tuple[Gauge, ...]
    sums: Sums
    received_s: float


class Peers:
    """The others' loads: sums of those that are added up in the store, and gauges of those that are not.

    All are replaced together, so that reading them from another thread is safe.
    """

    def __init__(self, index: DeploymentIndex, ttl_s: float = 5.0) -> None:
        self._index = index
        self.ttl_s = ttl_s
        """What is older than this is not used."""
        self.workers: tuple[WorkerLoad, ...] = ()
        """The others by name, as last asked for; their ages are of that moment."""
        self._latest = _Latest((), NO_SUMS, -np.inf)
        self._row_of: dict[str, int] = {}
        self._named = (0, 0)
        self._notes: dict[str, tuple[Gauge, float]] = {}
        self._failing: tuple[tuple[Gauge, ...], int, Mapping[str, Sequence[Seen]]] | None = None
        self._news = 0
        self._added: tuple[_Latest, FloatArray] | None = None

    def update(self, gauges: Iterable[Gauge], now: float, sums: Sums = NO_SUMS) -> None:
        """Replace all that was heard before. Ages of gauges are those at `now`."""
        self._latest = _Latest(tuple(gauges), sums, now)

    def note(self, gauge: Gauge, now: float) -> None:
        """Keep what a worker of the sums has told beside its load, in the place of its note before."""
        self._news += 1
        self._notes.pop(gauge.origin, None)
        if (gauge.failing or gauge.prefixes) and len(self._notes) < MAX_NOTED:
            self._notes[gauge.origin] = (gauge, now)

    def know(self, workers: Sequence[WorkerLoad]) -> None:
        """These are the others by name; notes of workers that are gone count no longer."""
        self.workers = tuple(workers)
        gone = self._notes.keys() - {worker.name for worker in workers}
        for name in gone:
            del self._notes[name]
        self._news += bool(gone)

    @property
    def count(self) -> int:
        """Number of the other workers."""
        return len(self._latest.gauges) + self._latest.sums.peers

    def silence_s(self, now: float) -> float:
        """Seconds since the last answer; inf before the first."""
        return now - self._latest.received_s

    def alone(self, now: float) -> bool:
        """Whether there were peers whose loads are now too old to use."""
        return self.count > 0 and self.silence_s(now) > self.ttl_s

    def sums(self, now: float, rows: int) -> InstanceState:
        """The peers' load on the first `rows` rows of the index, advanced to `now`."""
        latest = self._latest
        if not latest.gauges and not latest.sums.peers:
            return InstanceState.idle(rows)
        # Added up once per answer (and when a row is added), not once per decision.
        added = self._added
        if added is None or added[0] is not latest or added[1].shape[1] != rows:
            added = self._added = (latest, self._add_up(latest, rows))
        in_flight, prefill, decode, rate, fallen_before = added[1]
        fallen = rate * max(now - latest.received_s, 0.0) + fallen_before
        return InstanceState(in_flight, prefill, np.maximum(decode - fallen, decode * _REMAINDER))

    def used(self, rows: int) -> FloatArray | None:
        """(2, rows) requests and tokens that the peers sent in a minute; None where none was told."""
        latest = self._latest
        if latest.sums.used is None and not any(gauge.used for gauge in latest.gauges):
            return None
        found = np.zeros((2, rows))
        if latest.sums.used is not None:
            known = min(rows, latest.sums.used.shape[1])
            found[:, :known] = latest.sums.used[:, :known]
        self._name_rows(rows)
        for gauge in latest.gauges:
            for name, two in gauge.used.items():
                if (row := self._row_of.get(name)) is not None:
                    found[:, row] += two
        return found

    def failing(self) -> Mapping[str, Sequence[Seen]]:
        """What the peers have seen of what fails, by name on the wire; the same object until news.

        Times are on this worker's clock.
        """
        latest, news, known = self._latest, self._news, self._failing
        if known is None or known[0] is not latest.gauges or known[1] != news:
            found: dict[str, list[Seen]] = {}
            told = [(gauge, latest.received_s) for gauge in latest.gauges]
            for gauge, received_s in [*told, *self._notes.values()]:
                told_s = received_s - gauge.age_s
                for name, seen in gauge.failing.items():
                    found.setdefault(name, []).append(
                        seen._replace(
                            failed_s=told_s + seen.failed_s,
                            answered_s=told_s + seen.answered_s,
                            losses=seen.losses._replace(at_s=told_s + seen.losses.at_s),
                        )
                    )
            known = self._failing = (latest.gauges, news, found)
        return known[2]

    def _name_rows(self, rows: int) -> None:
        if (rows, self._index.version) != self._named:
            self._named = rows, self._index.version
            self._row_of = {wire_name(id_): row for row, id_ in enumerate(self._index.ids[:rows])}

    def _add_up(self, latest: _Latest, rows: int) -> FloatArray:
        """(5, rows) in flight, prefill, decode, its rate, what has fallen of it before it was received."""
        added = np.zeros((5, rows))
        loads = latest.sums.loads[:rows]
        added[:4, : len(loads)] = loads.T
        if latest.gauges:
            self._name_rows(rows)
        known, figures = [], []
        for gauge in latest.gauges:
            age_s = gauge.age_s
            for name, (in_flight, prefill, decode, rate) in gauge.loads.items():
                row = self._row_of.get(name)
                if row is not None:
                    known.append(row)
                    figures.append((in_flight, prefill, decode, rate, rate * age_s))
        if known:
            columns = np.array(figures, dtype=np.float64).T
            added += np.array([np.bincount(known, column, minlength=rows) for column in columns])
        return added
