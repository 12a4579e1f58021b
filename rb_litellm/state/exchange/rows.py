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


class RowNames:
    """The rows of one worker, in the order in which they were first needed; none is ever given up."""

    def __init__(self, index: DeploymentIndex) -> None:
        self._index = index
        self.names: tuple[str, ...] = ()
        self._loads: IntArray = np.zeros(0, dtype=np.int64)
        """Row by deployment's row of the index."""
        self._minutes: dict[int, int] = {}

    def table(
        self, state: InstanceState, decode_rates: FloatArray, used: Mapping[int, tuple[float, float]]
    ) -> IntArray:
        """(K, 4) this worker's figures, rounded; arrays have one row per row of the index."""
        size = state.in_flight.size
        if self._loads.size < size:
            ids = self._index.ids[self._loads.size : size]
            first = len(self.names)
            self.names += tuple(LOAD + wire_name(id_) for id_ in ids)
            self._loads = np.concatenate([self._loads, np.arange(first, len(self.names))])
        for row in used:
            if row not in self._minutes:
                self._minutes[row] = len(self.names)
                self.names += (MINUTE + wire_name(self._index.ids[row]),)
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
