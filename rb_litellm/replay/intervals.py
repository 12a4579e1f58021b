"""How sure a replay's figures are: a bootstrap over days, because calls of one day are alike.

Days are drawn with replacement, all calls of a drawn day count, and each policy is judged on the same draws:
the interval of a difference is narrower than the difference of two intervals. A log of few days is cut into
shorter pieces, which then say how much the figures vary within it and nothing of other days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.sim.results import RunResult

DAY_S = 86_400.0
MONTH_S = 30.44 * DAY_S
GAP_S = 30.0 * DAY_S
"""A longer time without a call is no part of a log's span: a row far from all others may be dated wrongly."""
_DRAWS = 1_000
_FEWEST = 5
"""Pieces that a log is cut into at least, as far as it has calls."""
_PIECES = (("days", DAY_S), ("hours", 3600.0), ("minutes", 60.0))


@dataclass(frozen=True, slots=True)
class Pieces:
    """Which piece of the log each call belongs to."""

    unit: str
    of_call: IntArray
    count: int
    span_s: float
    """From the first call to the last answer, without gaps."""

    @classmethod
    def of(cls, calls: Sequence[LoggedCall]) -> Pieces:
        """Days, where there are enough of them."""
        starts = np.array([call.start_s for call in calls])
        whole_s = max(call.end_s for call in calls) - float(starts.min())
        span_s = max(whole_s - gaps_s(starts), 1.0)
        for unit, length_s in _PIECES:
            _, of_call = np.unique(np.floor(starts / length_s), return_inverse=True)
            count = int(of_call.max()) + 1
            if count >= _FEWEST:
                return cls(unit, of_call, count, span_s)
        count = min(len(calls), 20)
        return cls("parts", np.arange(len(calls)) * count // len(calls), count, span_s)


def gaps_s(starts: Sequence[float] | FloatArray, longest_s: float = GAP_S) -> float:
    """How long nothing was sent, in all gaps of more than `longest_s`."""
    between = np.diff(np.sort(np.asarray(starts, dtype=np.float64)))
    return float(between[between > longest_s].sum())


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the range in which 95% of the draws lie."""

    value: float
    low: float
    high: float

    def plus(self, amount: float) -> Interval:
        """The same, higher by a known amount."""
        return Interval(self.value + amount, self.low + amount, self.high + amount)

    def as_json(self) -> list[float]:
        """Value, low, high."""
        return [self.value, self.low, self.high]


@dataclass(frozen=True, slots=True)
class Judged:
    """One run's figures, and how they differ from what was."""

    policy: str
    mean_e2e_s: Interval
    p95_e2e_s: Interval
    quality: Interval
    usd_per_1k: Interval
    usd_per_month: Interval
    saved_usd_per_month: Interval
    """Against what was; negative where it costs more."""
    quality_change: Interval
    e2e_change_s: Interval

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            name: value.as_json() if isinstance(value, Interval) else value
            for name in self.__slots__
            for value in [getattr(self, name)]
        }


def judge(
    runs: Sequence[RunResult],
    was: RunResult,
    pieces: Pieces,
    seed: int = 0,
    fixed_usd: float = 0.0,
    was_fixed_usd: float = 0.0,
    load: float = 1.0,
) -> list[Judged]:
    """Every run beside `was`. Runs with failed calls are judged by those that were answered, as a whole.

    `fixed_usd` is what the runs' servers cost a month, busy or not, `was_fixed_usd` what those of `was` do. A
    month under `load` has so many times the calls, on both sides of a difference.
    """
    dice = np.random.default_rng(seed)
    draws = dice.multinomial(pieces.count, np.full(pieces.count, 1.0 / pieces.count), _DRAWS)
    return [_judged(run, was, pieces, draws, load, fixed_usd, was_fixed_usd - fixed_usd) for run in runs]


def _judged(
    run: RunResult,
    was: RunResult,
    pieces: Pieces,
    draws: IntArray,
    load: float,
    fixed_usd: float,
    saved_fixed_usd: float,
) -> Judged:
    calls = pieces.of_call.size
    # What each draw's calls amount to in a month: their sum, per second of the log.
    monthly = load * MONTH_S / pieces.span_s

    def mean(values: FloatArray, scale: float = 1.0) -> Interval:
        if values.size != calls:
            value = float(values.mean()) * scale if values.size else float("nan")
            return Interval(value, float("nan"), float("nan"))
        sums = np.bincount(pieces.of_call, values, pieces.count)
        counts = np.bincount(pieces.of_call, minlength=pieces.count)
        drawn: FloatArray = (draws @ sums) / np.maximum(draws @ counts, 1)
        return _interval(float(values.mean()), drawn, scale)

    def total(values: FloatArray) -> Interval:
        if values.size != calls:
            return Interval(float(values.sum()) * monthly, float("nan"), float("nan"))
        drawn = np.asarray(draws @ np.bincount(pieces.of_call, values, pieces.count), dtype=np.float64)
        return _interval(float(values.sum()), drawn, monthly)

    same = run.e2e_s.size == was.e2e_s.size == calls
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    return Judged(
        run.policy,
        mean(run.e2e_s),
        _p95(run.e2e_s, pieces, draws),
        mean(run.quality),
        mean(run.cost_usd, 1000.0),
        total(run.cost_usd).plus(fixed_usd),
        total(was.cost_usd - run.cost_usd).plus(saved_fixed_usd) if same else nothing,
        mean(run.quality - was.quality) if same else nothing,
        mean(run.e2e_s - was.e2e_s) if same else nothing,
    )


def _interval(value: float, drawn: FloatArray, scale: float) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value * scale, float(low) * scale, float(high) * scale)


def _p95(values: FloatArray, pieces: Pieces, draws: IntArray) -> Interval:
    value = float(np.quantile(values, 0.95)) if values.size else float("nan")
    if values.size != pieces.of_call.size:
        return Interval(value, float("nan"), float("nan"))
    order = np.argsort(values)
    ordered, piece = values[order], pieces.of_call[order]
    drawn = []
    for draw in draws[:300]:
        weight = np.cumsum(draw[piece])
        drawn.append(ordered[min(np.searchsorted(weight, 0.95 * weight[-1]), ordered.size - 1)])
    return _interval(value, np.array(drawn), 1.0)
