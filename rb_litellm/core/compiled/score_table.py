"""Requests placed by a compiled loop, from cost and forecast to the choice, without coming back to Python.

It is for requests whose scores depend on nothing but quality, cost and times, each by itself (see
`Objective.plain_weights`). NumPy does the same for one request at a time, in `decision.single`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rb_litellm.core.compiled.forecaster import CompiledForecaster
from rb_litellm.core.compiled.in_use import Loops
from rb_litellm.core.decision.batch import BatchRequest, Fleet, matrix
from rb_litellm.core.decision.best import TIE
from rb_litellm.core.decision.breakdown import Predictions, ScoreBreakdown, ScoreTerm
from rb_litellm.core.decision.scoring import COST_SCALE, LATENCY_SCALE, Weights
from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.types import FloatArray, IntArray, Prediction

_SCALES = np.array([LATENCY_SCALE, COST_SCALE])
_LEFT = Weights(0.0, 0.0, 1.0)
"""Of requests that are not placed here, which have a row all the same."""


class ScoreTable:
    """Of R requests in the order in which they are placed, on the N deployments of a fleet."""

    def __init__(
        self, requests: Sequence[BatchRequest], fleet: Fleet, forecaster: CompiledForecaster, now: float
    ) -> None:
        count, width = len(requests), fleet.last_chosen_s.size
        self._forecaster = forecaster
        each = np.arange(width)
        prices, failing = fleet.prices, fleet.prices.failing
        self._of_fleet = (
            each if fleet.servers is None else fleet.servers,
            each if fleet.levels is None else fleet.levels,
            fleet.last_chosen_s,
            now,
            TIE,
            _SCALES,
            matrix([prices.input_usd, prices.output_usd]),
        )
        self._failures = np.zeros((2, count, width))
        self._requests = requests
        self._fails = failing is not None
        if failing is not None:
            for row, its in enumerate(requests):
                self._failures[0, row] = failing.seconds(its.allowed, its.retries)
                self._failures[1, row] = failing.usd(its.input_tokens, prices.input_usd, prices.output_usd)
        self._weights = [its.objective.plain_weights or _LEFT for its in requests]
        self._of_requests = (
            np.array([its.input_tokens for its in requests], dtype=np.float64),
            matrix([its.output_tokens for its in requests]),
            matrix([its.quality for its in requests]),
            matrix([its.allowed for its in requests]),
            self._failures,
            np.array([(its.quality, its.latency, its.cost) for its in self._weights]),
        )
        self._figures = np.empty((count, 9, width))
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
            *self._of_fleet,
            *self._of_requests,
            self._figures,
            self.met,
            self.chosen,
            self.best,
            self._at,
            end,
            alone,
        )
        return self._at.item(), found

    def score(self, row: int, chosen: int) -> float:
        """Of one request on one deployment."""
        return self._figures.item(row, 8, chosen)

    def prediction(self, row: int, chosen: int) -> Prediction:
        """Of one request on one deployment."""
        request = self._requests[row]
        wait_s, ttft_s, tpot_s, e2e_s, _, cost_usd = self._figures[row, :6, chosen].tolist()
        quality, output_tokens = request.quality.item(chosen), request.output_tokens.item(chosen)
        return Prediction(quality, output_tokens, wait_s, ttft_s, tpot_s, e2e_s, cost_usd)

    def breakdown(self, row: int) -> ScoreBreakdown:
        """All that one request was scored by, as it was when it was placed."""
        request, weights = self._requests[row], self._weights[row]
        wait_s, ttft_s, tpot_s, e2e_s, burden_s, cost_usd, in_time, in_cost, scores = self._figures[row]
        failures_s: FloatArray | None = self._failures[0, row] if self._fails else None
        times = LatencyForecast(wait_s, ttft_s, tpot_s, e2e_s, burden_s, failures_s)
        return ScoreBreakdown(
            Predictions(request.quality, request.output_tokens, times, cost_usd),
            request.allowed,
            request.allowed,
            (
                ScoreTerm("quality", weights.quality, request.quality),
                ScoreTerm("latency", weights.latency, in_time),
                ScoreTerm("cost", weights.cost, in_cost),
            ),
            scores,
        )
