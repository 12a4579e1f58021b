"""The shares of a fleet read one by one, for people; workers read the totals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.state.exchange.gauges import Gauge, GaugeError, StoredGauge, decode
from rb_litellm.state.exchange.rows import loads_of, minutes_of
from rb_litellm.state.exchange.wire import COLUMN, ROW, SHARE_HEAD


def gauges_of(
    ms: float, now_ms: float, names: Sequence[bytes], shares: Sequence[bytes]
) -> tuple[list[Gauge], list[str]]:
    """Shares worker by worker, and the workers whose shares cannot be read; it is `ms` after the epoch.

    `now_ms` is the same moment by the store's clock. Shares are as they were when last told. `names` are
    names and slots in turn, `shares` workers and their shares.
    """
    placed = {
        name.decode("utf-8", "replace"): int(slot)
        for name, slot in zip(names[::2], names[1::2], strict=True)
        if slot.isdigit() and len(slot) < 6
    }
    gauges, unreadable = [], []
    for worker, share in zip(shares[::2], shares[1::2], strict=True):
        name = worker.decode("utf-8", "replace")
        head = np.frombuffer(share[: SHARE_HEAD.itemsize], SHARE_HEAD)[0]
        rows = np.frombuffer(share[SHARE_HEAD.itemsize :], ROW)
        line = rows["line"]
        if not (np.isfinite(line).all() and line.min(initial=0.0) >= 0.0):
            unreadable.append(name)
            continue
        table = np.zeros((rows.size, 4), dtype=np.int64)
        for column in ("in_flight", "prefill", "rate"):
            table[:, getattr(COLUMN, column)] = rows[column]
        age_ms = min(max(now_ms - float(head["at_ms"]), 0.0), 1e9)
        left = (line - rows["rate"] * (ms - age_ms)) / 1000.0
        table[:, COLUMN.decode] = np.rint(np.clip(left, rows["in_flight"], 1e12))
        known = [(told, slot) for told, slot in placed.items() if slot < rows.size]
        told_names, chosen = [told for told, _ in known], table[[slot for _, slot in known]]
        gauges.append(
            Gauge(
                name,
                age_ms / 1000.0,
                loads_of(told_names, chosen),
                float(head["up_s"]),
                used=minutes_of(told_names, chosen),
            )
        )
    return gauges, unreadable


def read_gauges(stored: Sequence[StoredGauge]) -> tuple[list[Gauge], list[str]]:
    """Gauges of workers of the version before, and the workers whose gauges cannot be read."""
    gauges, unreadable = [], []
    for one in stored:
        try:
            gauges.append(decode(one))
        except GaugeError:  # noqa: PERF203
            unreadable.append(one.origin)
    return gauges, unreadable
