"""A worker's own copy of what the store holds: its share, the totals, and the slots in which both stand.

It says what has changed since, and what of the totals is the others'.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray
from rb_litellm.state.exchange.wire import (
    CHUNK,
    COLUMN,
    MAX_SLOTS,
    NO_SLOT,
    SENT,
    TOTALS_CHUNK,
)

_TOLERANCE = 1.0 / 32.0
"""Pending output tokens are told where they have left what others reckon by more than this share,"""
_SLACK = 4.0
"""and by more than so many."""
_NOT_RECKONED = [COLUMN.in_flight, COLUMN.prefill, COLUMN.rate]
_EXACT = 2.0**53
_FIELDS = ("in_flight", "prefill", "line", "rate")
"""In the order of `wire.Columns`: a line stands where what is left to decode is read off it."""


class OwnShare:
    """What this worker has told, by name of row; `number` is None while the store's share is not known."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._told: IntArray = np.zeros((0, 4), dtype=np.int64)
        self._line: FloatArray = np.zeros(0)
        self._at_ms: FloatArray = np.zeros(0)
        self._epoch_ms = 0.0

    def forget(self) -> None:
        """Tell everything at the next exchange."""
        self.number = None

    def changes(self, table: IntArray, now_ms: float) -> BoolArray:
        """(K,) which rows others would not reckon by themselves; `now_ms` is of any clock that only advances.

        Pending output tokens fall at the rate that was told (dead reckoning), so a row is told again only
        where it has left that line.
        """
        self._grow(len(table))
        if self.number is None:
            return np.asarray(table.any(axis=1))
        told = self._told[: len(table)]
        passed_s = (now_ms - self._at_ms[: len(table)]) / 1000.0
        reckoned = told[:, COLUMN.decode] - told[:, COLUMN.rate] * passed_s
        decode = table[:, COLUMN.decode]
        off = np.abs(decode - reckoned) > np.maximum(decode * _TOLERANCE, _SLACK)
        off |= (table != told)[:, _NOT_RECKONED].any(axis=1)
        return np.asarray(off)

    def arrived(
        self, table: IntArray, changed: BoolArray, number: int, now_ms: float, ms: float, epoch_ms: float
    ) -> None:
        """The store has these rows now; `ms` is its time since its epoch."""
        size = len(table)
        if self.number is None:
            self._told[:], self._line[:] = 0, 0.0
        elif epoch_ms != self._epoch_ms:
            # As moved_on in fleet.lua.
            later_ms = epoch_ms - self._epoch_ms
            self._line = np.maximum(self._line - self._told[:, COLUMN.rate] * later_ms, 0.0)
        told = self._told[:size]
        told[changed] = table[changed]
        self._at_ms[:size][changed] = now_ms
        self._line[:size][changed] = told[changed, COLUMN.decode] * 1000.0 + told[changed, COLUMN.rate] * ms
        self.number, self._epoch_ms = number, epoch_ms

    def rows(self, size: int) -> tuple[IntArray, FloatArray]:
        """What the store holds of the first rows: as told, and their lines."""
        return self._told[:size], self._line[:size]

    def _grow(self, size: int) -> None:
        missing = size - len(self._told)
        if missing > 0:
            self._told = np.concatenate([self._told, np.zeros((missing, 4), dtype=np.int64)])
            self._line = np.concatenate([self._line, np.zeros(missing)])
            self._at_ms = np.concatenate([self._at_ms, np.zeros(missing)])


class Slots:
    """Where each row stands in the fleet's totals."""

    def __init__(self) -> None:
        self.generation: bytes | None = None
        self._slots: IntArray = np.zeros(0, dtype=np.int64)

    def forget(self) -> None:
        """Take slots anew."""
        self.generation, self._slots = None, np.zeros(0, dtype=np.int64)

    def missing(self, names: Sequence[str]) -> Sequence[str]:
        """Names of rows that have no slot yet."""
        return names[self._slots.size :]

    def given(self, generation: bytes, slots: bytes) -> None:
        """The next rows stand there."""
        if self.generation not in (None, generation):
            self._slots = np.zeros(0, dtype=np.int64)
            self.generation = None
            return
        self.generation = generation
        more = np.frombuffer(slots, dtype="<u2").astype(np.int64)
        self._slots = np.concatenate([self._slots, np.where(more < MAX_SLOTS, more, NO_SLOT)])

    def of(self, size: int) -> IntArray:
        """(size,) slots of the first rows; NO_SLOT where the fleet has no room."""
        return self._slots[:size]


class Totals:
    """The fleet's totals as this worker last saw them."""

    def __init__(self) -> None:
        self.version = 0.0
        self._columns: FloatArray = np.zeros((4, 0))

    def forget(self) -> None:
        """Read all of them at the next exchange."""
        self.version, self._columns = 0.0, np.zeros((4, 0))

    def update(self, version: float, length: int, chunks: bytes) -> None:
        """Take in the chunks that have changed, of totals that are so many chunks long now.

        Totals that are added up anew end at the last chunk that somebody has told: what stood beyond is gone.

        Raises:
            ValueError: they are no chunks.
        """
        self._columns = self._columns[:, : length * CHUNK]
        if chunks:
            changed = np.frombuffer(chunks, dtype=TOTALS_CHUNK)
            numbers = changed["number"].astype(np.int64)
            size = (int(numbers.max()) + 1) * CHUNK
            if size > MAX_SLOTS:
                raise ValueError(f"totals have {size} rows; at most {MAX_SLOTS} are allowed")
            missing = size - self._columns.shape[1]
            if missing > 0:
                self._columns = np.concatenate([self._columns, np.zeros((4, missing))], axis=1)
            for column, name in zip(self._columns, _FIELDS, strict=True):
                column.reshape(-1, CHUNK)[numbers] = changed["rows"][name]
        self.version = version

    def others(
        self, slots: IntArray, own: IntArray, own_line: FloatArray, ms: float
    ) -> tuple[FloatArray, bool]:
        """(K, 4) the totals less this worker's share, `ms` after the epoch; and whether they can be right."""
        known = self._columns.shape[1]
        there = slots < known
        if there.all():
            found = self._columns[:, slots]
        else:
            found = np.zeros((4, slots.size))
            found[:, there] = self._columns[:, slots[there]]
            own, own_line = np.where(there[:, None], own, 0), np.where(there, own_line, 0.0)
        in_flight, prefill, line, rate = found
        in_flight -= own[:, COLUMN.in_flight]
        prefill -= own[:, COLUMN.prefill]
        rate -= own[:, COLUMN.rate]
        line -= own_line
        # NaN is no number that is 0 or more.
        right = bool((found >= 0.0).all() and (line < _EXACT).all())
        if not right:
            found[:] = np.clip(np.nan_to_num(found), 0.0, 1e15)
        line -= rate * ms
        line /= 1000.0
        # Every open attempt is counted with a token at least.
        np.maximum(line, in_flight, out=line)
        return found.T, right


def sent(slots: IntArray, table: IntArray, changed: BoolArray) -> bytes:
    """The changed rows of a bounded table as they travel, in the order of their slots."""
    chosen = np.flatnonzero(changed & (slots < MAX_SLOTS))
    chosen = chosen[slots[chosen].argsort(kind="stable")]
    rows = np.zeros(chosen.size, dtype=SENT)
    figures = table[chosen]
    rows["slot"] = slots[chosen]
    for name in ("in_flight", "prefill", "decode", "rate"):
        rows[name] = figures[:, getattr(COLUMN, name)]
    return rows.tobytes()
