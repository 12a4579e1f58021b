"""Forecasts of a batch by the compiled loops, or by NumPy where there are none; both give the same times."""

from __future__ import annotations

import numpy as np

from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.latency.forecast import (
    PARTS,
    BatchForecaster,
    LatencyCoefficients,
    LatencyForecast,
    PlainForecaster,
    times_of,
)
from rb_litellm.core.types import FloatArray, InstanceState


def batch_forecaster(
    coefficients: LatencyCoefficients, state: InstanceState, slowdown: FloatArray | None = None
) -> BatchForecaster:
    """Forecasts under the load of `state`, which `join` changes; by compiled loops where there are some.

    `slowdown` (N,), at least 1, stretches all times of a deployment whose open attempts are overdue.
    """
    if slowdown is not None:
        coefficients = coefficients.slowed(slowdown)

    def compiled(loops: Loops) -> BatchForecaster:
        return CompiledForecaster(loops, coefficients, state)

    return IN_USE.either(compiled, lambda: PlainForecaster(coefficients, state))


class CompiledForecaster:
    """By the loops of `decision_loops`."""

    __slots__ = ("_outdated", "_parts", "_state", "coefficients", "given")

    def __init__(self, loops: Loops, coefficients: LatencyCoefficients, state: InstanceState) -> None:
        self.coefficients = coefficients
        self._state = state
        self.given = (
            *coefficients.per_load,
            state.in_flight,
            state.pending_prefill_tokens,
            state.pending_decode_tokens,
        )
        """Coefficients and load, as the loops take them."""
        count = state.in_flight.size
        self._parts = np.empty((PARTS, count))
        self._outdated: list[int] = []
        """The deployments that requests were added to since the last forecast."""
        loops.load_parts(*self.given, 0, count, self._parts)

    @property
    def parts(self) -> FloatArray:
        """See `BatchForecaster`."""
        if self._outdated:
            self._parts = IN_USE.either(self._refreshed, self._by_numpy)
            self._outdated.clear()
        return self._parts

    def forecast(self, prefill_tokens: float | FloatArray, output_tokens: FloatArray) -> LatencyForecast:
        """See `BatchForecaster`."""
        parts = self.parts
        return IN_USE.either(
            lambda loops: self._forecast(loops, parts, prefill_tokens, output_tokens),
            lambda: LatencyForecast(*times_of(parts.copy(), prefill_tokens, output_tokens)),
        )

    def join(self, row: int, prefill_tokens: float, output_tokens: float) -> None:
        """See `BatchForecaster`."""
        self._state.in_flight[row] += 1.0
        self._state.pending_prefill_tokens[row] += prefill_tokens
        self._state.pending_decode_tokens[row] += output_tokens
        self._outdated.append(row)

    def _refreshed(self, loops: Loops) -> FloatArray:
        for row in self._outdated:
            loops.load_parts(*self.given, row, row + 1, self._parts)
        return self._parts

    def _by_numpy(self) -> FloatArray:
        return PlainForecaster(self.coefficients, self._state).parts

    @staticmethod
    def _forecast(
        loops: Loops, parts: FloatArray, prefill_tokens: float | FloatArray, output_tokens: FloatArray
    ) -> LatencyForecast:
        count = parts.shape[1]
        prefill = np.asarray(prefill_tokens, dtype=np.float64)
        if not prefill.ndim:
            prefill = np.full(count, prefill)
        times = np.empty((5, count))
        output = np.ascontiguousarray(output_tokens, dtype=np.float64)
        loops.forecast_times(parts, np.ascontiguousarray(prefill), output, times)
        return LatencyForecast(*times)
