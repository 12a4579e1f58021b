"""Names of rows: a deployment's load, and what a minute has used up of a deployment's limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState, IntArray
from rb_litellm.state.exchange.gauges import Load, wire_name
from rb_litellm.state.exchange.wire import COLUMN
from rb_litellm.state.index import DeploymentIndex

LOAD = "l "
MINUTE = "m "


SPARE = 256
"""Names of deployments that are gone, beyond as many as there are others, before names begin anew."""


class RowNames:
    """The rows of one worker, in the order in which they were first needed.

    Names of deployments that are gone stay, until they are most of all: then all begin anew.
    """

    def __init__(self, index: DeploymentIndex) -> None:
        self._index = index
        self.names: tuple[str, ...] = ()
        self._loads: IntArray = np.zeros(0, dtype=np.int64)
        """Row by deployment's row of the index."""
        self._minutes: dict[int, int] = {}
        self._ids: tuple[str, ...] = ()
        """By row of the index, whose names these are."""
        self._version = 0

    def table(
        self, state: InstanceState, decode_rates: FloatArray, used: Mapping[int, tuple[float, float]]
    ) -> IntArray:
        """(K, 4) this worker's figures, rounded; arrays have one row per row of the index."""
        size = state.in_flight.size
        if self._loads.size < size or self._version != self._index.version:
            self._follow(size)
        for row in used:
            if row not in self._minutes:
                self._minutes[row] = len(self.names)
                self.names += (MINUTE + wire_name(self._ids[row]),)
        table = np.zeros((len(self.names), 4), dtype=np.int64)
        figures = (
            state.in_flight,
            state.pending_prefill_tokens,
            state.pending_decode_tokens,
            decode_rates[:size],
        )
        table[self._loads[:size]] = np.rint(np.stack(figures, axis=1))
        for row, two in used.items():
            table[self._minutes[row], : COLUMN.decode] = np.rint(two)
        return table

    def _follow(self, size: int) -> None:
        """Give names to those who have come, and to those who have taken over a row."""
        self._version, ids = self._index.version, self._index.ids[:size]
        living = size - ids.count("")
        if len(self.names) > 2 * (living + len(self._minutes)) + SPARE:
            self.names, self._loads, self._minutes, self._ids = (), self._loads[:0], {}, ()
        names, known = list(self.names), self._loads.size
        loads = np.concatenate([self._loads, np.zeros(size - known, dtype=np.int64)])
        nobodys = names.index(LOAD) if LOAD in names else None
        for row in range(size):
            if row < known and ids[row] == self._ids[row]:
                continue
            self._minutes.pop(row, None)
            if not ids[row] and nobodys is not None:
                loads[row] = nobodys
                continue
            loads[row] = len(names)
            nobodys = nobodys if ids[row] else len(names)
            names.append(LOAD + wire_name(ids[row]) if ids[row] else LOAD)
        self.names, self._loads, self._ids = tuple(names), loads, ids

    def loads(self, table: FloatArray) -> FloatArray:
        """(N, 4) the loads of what was heard, by row of the index."""
        return table[self._loads]

    def used(self, table: FloatArray) -> FloatArray | None:
        """(2, N) requests and tokens of a minute of what was heard; None where no minute is limited."""
        if not self._minutes:
            return None
        found = np.zeros((2, self._loads.size))
        found[:, list(self._minutes)] = table[list(self._minutes.values()), : COLUMN.decode].T
        return found


def loads_of(names: Sequence[str], table: IntArray) -> dict[str, Load]:
    """The busy deployments of a worker's rows, by their names on the wire."""
    busy = table[:, COLUMN.in_flight].nonzero()[0].tolist()
    return {
        names[row].removeprefix(LOAD): Load(*table[row].astype(np.float64).tolist())
        for row in busy
        if names[row].startswith(LOAD)
    }


def minutes_of(names: Sequence[str], table: IntArray) -> dict[str, tuple[float, float]]:
    """Requests and tokens of a minute of a worker's rows, by deployments' names on the wire."""
    return {
        name.removeprefix(MINUTE): (float(table[row, 0]), float(table[row, 1]))
        for row, name in enumerate(names)
        if name.startswith(MINUTE) and table[row].any()
    }
