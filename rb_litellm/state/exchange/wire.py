"""What travels between a worker and the store: the worker's own rows there, the sums of all others back.

A row is what one name stands for: the load of a deployment, or what a minute has used up of its limits. All
of it is whole numbers in a fixed layout, so NumPy reads a fleet's totals at once; `redis/scripts/fleet.lua`
has the same layout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.state.exchange.gauges import StoredGauge

WIRE_VERSION = 2
MAX_SLOTS = 8_192
"""Names of a fleet: 4,096 deployments whose minutes are limited too."""
NO_SLOT = 65_535
CHUNK = 64
"""Rows that travel together."""
ROW = np.dtype([("in_flight", "<u4"), ("prefill", "<u4"), ("rate", "<u4"), ("line", "<f8")])
"""`line` is what is left to decode, as a line through time: 1000 x tokens + rate x (ms since the epoch)."""
TOTALS_CHUNK = np.dtype([("number", "<u2"), ("version", "<f8"), ("rows", ROW, (CHUNK,))])
SENT = np.dtype(
    [("slot", "<u2"), ("in_flight", "<u4"), ("prefill", "<u4"), ("decode", "<u4"), ("rate", "<u4")]
)
SHARE_HEAD = np.dtype([("at_ms", "<f8"), ("number", "<u4"), ("up_s", "<u4"), ("in_flight", "<u4")])
MOST = np.array([1 << 20, 1 << 23, 1 << 31, 1 << 20], dtype=np.int64)
"""Of one worker's row; more counts as this. With it the sums of 1,024 workers stay below 2^53."""
MAX_NOTE_BYTES = 128 * 1024
"""Longer notes are not told."""


class Columns(NamedTuple):
    """The columns of a table of rows."""

    in_flight: int = 0
    prefill: int = 1
    decode: int = 2
    rate: int = 3
    """Tokens per second by which `decode` falls."""


COLUMN = Columns()


@dataclass(frozen=True, slots=True)
class Told:
    """What one worker tells."""

    names: Sequence[str]
    """Of the rows. Mostly the same sequence in every exchange, or a longer one that begins with it: for any
    other, all is told anew."""
    table: IntArray
    """(K, 4) columns as in Columns."""
    up_s: float = 0.0
    note: bytes | None = None
    """A gauge of what has no sum; None where nothing is new."""
    gauge: Callable[[], bytes] = lambda: b""
    """This worker's load for workers of the version before; made only where there is one."""


NOTHING = Told((), np.zeros((0, 4), dtype=np.int64))


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """Load of one live worker."""

    name: str
    age_s: float
    """Seconds since its last update."""
    up_s: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class Heard:
    """What all other workers have told."""

    table: FloatArray
    """(K, 4) sums, row by row as told, at this moment."""
    peers: int
    notes: tuple[StoredGauge, ...] = ()
    """Those that this worker has not heard before."""
    workers: tuple[WorkerLoad, ...] | None = None
    """None where this exchange did not ask for them."""
    gauges: tuple[StoredGauge, ...] = ()
    """Of workers of the version before, which are in none of the above."""
    unreadable: int = 0
    """Shares and totals that could not be read."""


def bounded(table: IntArray) -> IntArray:
    """The table with every figure within its bounds."""
    return np.clip(table, 0, MOST)
