"""A batch placed by a compiled loop, from the forecast to the choice, without coming back to Python.

It is for requests whose scores depend on nothing but quality, cost and times, in the form of
`worth_of_times`. NumPy does the same for one request at a time, in `decision.single`.
"""

from __future__ import annotations

import numpy as np

from rb_litellm.core.compiled.forecaster import CompiledForecaster
from rb_litellm.core.compiled.in_use import Loops
from rb_litellm.core.decision.batch import Fleet, Prescored
from rb_litellm.core.decision.best import TIE
from rb_litellm.core.decision.scoring import LATENCY_SCALE
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.types import FloatArray, IntArray

_SCALE = np.array(LATENCY_SCALE)


class ScoreTable:
    """Of R requests in the order in which they are placed, on the N deployments of a fleet."""

    def __init__(
        self, prescored: Prescored, fleet: Fleet, forecaster: CompiledForecaster, now: float
    ) -> None:
        requests, (count, width) = prescored.requests, prescored.points.shape
        self._forecaster = forecaster
        each = np.arange(width)
        self._fleet = (
            each if fleet.servers is None else fleet.servers,
            each if fleet.levels is None else fleet.levels,
            fleet.last_chosen_s,
            now,
            TIE,
            _SCALE,
        )
        self._failures_s = np.zeros((count, width))
        self._fails = fleet.prices.failing is not None
        if fleet.prices.failing is not None:
            for row, its in enumerate(requests):
                self._failures_s[row] = fleet.prices.failing.seconds(its.allowed, its.retries)
        self._requests = (
            np.array([its.input_tokens for its in requests], dtype=np.float64),
            np.ascontiguousarray(prescored.output_tokens),
            prescored.allowed,
            self._failures_s,
            np.array([its.objective.latency_weight or 0.0 for its in requests]),
            np.ascontiguousarray(prescored.points),
        )
        self._times = np.empty((count, 5, width))
        self.worth_of_times = np.empty((count, width))
        """(R, N) what they are worth,"""
        self.scores = np.empty((count, width))
        """(R, N) scores,"""
        self.met = np.empty((count, 2))
        """(R, 2) requests in flight and pending tokens of prefill that each one met,"""
        self.chosen: IntArray = np.full(count, -1)
        """(R,) and where it was placed: all of those that were placed."""
        self.best: IntArray = np.empty(width, dtype=np.int64)
        """The deployments that are equally good for a request that is left."""
        self._at = np.zeros(1, dtype=np.int64)

    def place(self, loops: Loops, first: int, end: int, alone: bool) -> tuple[int, int]:
        """Place requests from `first` up to `end`. Returns one that is left, and how many are best for it.

        That is the first that several deployments, or none, are best for, and with `alone` each. The caller
        writes its choice into `chosen`, and calls this again for it and those that follow. It is `end` when
        all are placed.
        """
        self._at[0] = first
        found: int = loops.place_several(
            *self._forecaster.given,
            self._forecaster.parts,
            *self._fleet,
            *self._requests,
            self._times,
            self.worth_of_times,
            self.scores,
            self.met,
            self.chosen,
            self.best,
            self._at,
            end,
            alone,
        )
        return self._at.item(), found

    def times(self, row: int) -> LatencyForecast:
        """Of one request, as they were when it was placed."""
        failures_s: FloatArray | None = self._failures_s[row] if self._fails else None
        wait_s, ttft_s, tpot_s, e2e_s, burden_s = self._times[row]
        return LatencyForecast(wait_s, ttft_s, tpot_s, e2e_s, burden_s, failures_s)

    def times_at(self, row: int, chosen: int) -> tuple[float, float, float, float]:
        """Wait, TTFT, TPOT and E2E of one request on one deployment."""
        wait_s, ttft_s, tpot_s, e2e_s = self._times[row, :4, chosen].tolist()
        return wait_s, ttft_s, tpot_s, e2e_s
