"""How long a request takes on one deployment now: TTFT, TPOT and E2E from its load.

The form is that of a continuously batching server. A decode step serves every running sequence, so
time per output token grows with how many run and shrinks when few do; a prefill of n tokens takes
time in n; a request beyond the server's slots waits until decoding frees one:

    TPOT(b)  = tpot_idle + tpot_per_running * b
    TTFT(n)  = ttft_base + prefill_per_token * (pending prefill + n) + ttft_per_running * b
    wait     = 0                                   while the batch has a free slot,
               (D / max(b, 1)) * TPOT * q / b      else, for D pending decode tokens and q waiting
    E2E      = wait + TTFT + (L - 1) * TPOT
    burden   = b * prefill_per_token * n + tpot_per_running * min(D, L * b)

The burden is what those already running lose by the newcomer: its prefill holds each of them up, and
each token that they write beside it takes longer. Its own E2E does not feel that, the users do; a choice
that leaves it out fills the fastest servers until they are as slow as the others.

TTFT grows with the batch because the first token comes at the end of a step that serves it too, after
the one under way has ended. The waiting term is the reference's queueing form (RouteBalance, arXiv
2606.17949): D / b is what the mean running sequence still has to decode. A hosted API shows no queue;
there the same form holds with coefficients that are flat in load until measurements say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState, IntArray


@dataclass(frozen=True, slots=True)
class LatencyPrior:
    """What is believed of a deployment before anything was measured on it."""

    tpot_s: float
    """Time per output token at low load."""
    ttft_s: float
    """Time to first token of a short prompt at low load."""
    prefill_s_per_token: float
    tpot_s_per_running: float
    """Growth of TPOT with each further running sequence."""
    slots: float
    """Sequences that run at once (vLLM's max_num_seqs); inf for a hosted API."""


@dataclass(slots=True)
class LatencyCoefficients:
    """Coefficients of the model above for N deployments; every array has shape (N,)."""

    tpot_s: FloatArray
    tpot_s_per_running: FloatArray
    ttft_s: FloatArray
    ttft_s_per_running: FloatArray
    prefill_s_per_token: FloatArray
    slots: FloatArray

    @classmethod
    def from_priors(cls, priors: list[LatencyPrior]) -> LatencyCoefficients:
        """One row per prior."""
        return cls(
            np.array([p.tpot_s for p in priors], dtype=np.float64),
            np.array([p.tpot_s_per_running for p in priors], dtype=np.float64),
            np.array([p.ttft_s for p in priors], dtype=np.float64),
            # The step that writes the first token is as long as any other.
            np.array([p.tpot_s_per_running for p in priors], dtype=np.float64),
            np.array([p.prefill_s_per_token for p in priors], dtype=np.float64),
            np.array([p.slots for p in priors], dtype=np.float64),
        )

    def with_row(self, prior: LatencyPrior) -> LatencyCoefficients:
        """These and one more deployment at the end."""
        more = LatencyCoefficients.from_priors([prior])
        return LatencyCoefficients(
            *(np.append(getattr(self, name), getattr(more, name)) for name in self.__dataclass_fields__)
        )

    def take(self, rows: IntArray) -> LatencyCoefficients:
        """The coefficients of the given deployments only, in that order."""
        return LatencyCoefficients(
            self.tpot_s[rows],
            self.tpot_s_per_running[rows],
            self.ttft_s[rows],
            self.ttft_s_per_running[rows],
            self.prefill_s_per_token[rows],
            self.slots[rows],
        )

    def slowed(self, factor: FloatArray) -> LatencyCoefficients:
        """The coefficients of deployments that take `factor` (N,) times as long for everything."""
        return LatencyCoefficients(
            self.tpot_s * factor,
            self.tpot_s_per_running * factor,
            self.ttft_s * factor,
            self.ttft_s_per_running * factor,
            self.prefill_s_per_token * factor,
            self.slots,
        )


@dataclass(slots=True)
class LatencyForecast:
    """Seconds for one request on N deployments; every array has shape (N,). Nobody writes to it."""

    wait_s: FloatArray
    ttft_s: FloatArray
    """Time to first token, the wait included."""
    tpot_s: FloatArray
    e2e_s: FloatArray
    burden_s: FloatArray | float = 0.0
    """Seconds that the requests already there lose by this one, all together."""

    @property
    def priced_s(self) -> FloatArray:
        """The time that a choice costs everybody: what a score takes for latency."""
        return self.e2e_s + self.burden_s


class BatchForecaster:
    """What a request meets on each of N deployments under the load of `state`, whoever it is.

    Most of a forecast is said of the deployment and not of the request. It is worked out here once for a
    whole batch, and again for a single deployment when a request of the batch joins it.
    """

    __slots__ = (
        "_burden_s_most",
        "_burden_s_per_token",
        "_coefficients",
        "_outdated_row",
        "_running",
        "_state",
        "_tpot_s",
        "_ttft_s",
        "_wait_s",
    )

    def __init__(
        self, coefficients: LatencyCoefficients, state: InstanceState, slowdown: FloatArray | None = None
    ) -> None:
        """`state` is changed by `join`; `slowdown` (N,), at least one, stretches all times of deployments
        whose open attempts are overdue."""
        c = self._coefficients = coefficients if slowdown is None else coefficients.slowed(slowdown)
        self._state = state
        self._outdated_row: int | None = None
        """Who was joined since the last forecast."""
        (
            self._wait_s,
            self._ttft_s,
            self._tpot_s,
            self._running,
            self._burden_s_per_token,
            self._burden_s_most,
        ) = _load_part(
            (c.tpot_s, c.tpot_s_per_running, c.ttft_s, c.ttft_s_per_running, c.prefill_s_per_token, c.slots),
            (state.in_flight, state.pending_prefill_tokens, state.pending_decode_tokens),
            np.minimum,
            np.maximum,
        )

    def forecast(self, prefill_tokens: float | FloatArray, output_tokens: FloatArray) -> LatencyForecast:
        """Predict one request on every deployment, itself joining it.

        `prefill_tokens` are those of its input that are to be computed, on all or (N,) on each;
        `output_tokens` (N,) is the expected length on each.
        """
        if self._outdated_row is not None:
            self._refresh(self._outdated_row)
            self._outdated_row = None
        prefill = self._coefficients.prefill_s_per_token * prefill_tokens
        ttft = self._ttft_s + prefill
        e2e = np.maximum(output_tokens - 1.0, 0.0) * self._tpot_s
        e2e += ttft
        burden = np.minimum(output_tokens * self._burden_s_per_token, self._burden_s_most)
        burden += self._running * prefill
        return LatencyForecast(self._wait_s, ttft, self._tpot_s, e2e, burden)

    def join(self, row: int, prefill_tokens: float, output_tokens: float) -> None:
        """A request is sent to the deployment at `row`: the next one meets it there."""
        if self._outdated_row is not None:
            self._refresh(self._outdated_row)
        self._state.in_flight[row] += 1.0
        self._state.pending_prefill_tokens[row] += prefill_tokens
        self._state.pending_decode_tokens[row] += output_tokens
        self._outdated_row = row

    def _refresh(self, row: int) -> None:
        c, state = self._coefficients, self._state
        # The forecasts made before hold these two, and are read for longer than this batch.
        self._wait_s, self._tpot_s = self._wait_s.copy(), self._tpot_s.copy()
        (
            self._wait_s[row],
            self._ttft_s[row],
            self._tpot_s[row],
            self._running[row],
            self._burden_s_per_token[row],
            self._burden_s_most[row],
        ) = _load_part(
            (
                c.tpot_s.item(row),
                c.tpot_s_per_running.item(row),
                c.ttft_s.item(row),
                c.ttft_s_per_running.item(row),
                c.prefill_s_per_token.item(row),
                c.slots.item(row),
            ),
            (
                state.in_flight.item(row),
                state.pending_prefill_tokens.item(row),
                state.pending_decode_tokens.item(row),
            ),
            min,
            max,
        )


def forecast(
    coefficients: LatencyCoefficients,
    state: InstanceState,
    prefill_tokens: float | FloatArray,
    output_tokens: FloatArray,
    slowdown: FloatArray | None = None,
) -> LatencyForecast:
    """Predict one request on every deployment under the load of `state`: see `BatchForecaster`."""
    return BatchForecaster(coefficients, state, slowdown).forecast(prefill_tokens, output_tokens)


_Number = TypeVar("_Number", float, FloatArray)


def _load_part(
    coefficients: tuple[_Number, _Number, _Number, _Number, _Number, _Number],
    load: tuple[_Number, _Number, _Number],
    least: Callable[[_Number, Any], _Number],
    most: Callable[[_Number, float], _Number],
) -> tuple[_Number, _Number, _Number, _Number, _Number, _Number]:
    """The form above as far as no request has a part in it: of N deployments, or in plain numbers of one.

    Wait, time to first token, time per output token, how many run beside a newcomer, and what all of these
    lose together: with each token that it writes, and at most. `least` and `most` are the smaller and
    greater of two such numbers.
    """
    tpot_s, tpot_s_per_running, ttft_s, ttft_s_per_running, prefill_s_per_token, slots = coefficients
    in_flight, pending_prefill, decoding = load
    others = least(in_flight, slots - 1.0)  # that run beside this one, once it runs
    waiting = in_flight - others
    tpot = tpot_s + tpot_s_per_running * others
    # Time until as many sequences have ended as stand before this one: each of the b running ones
    # has on average D / b tokens to go, and b of them end within that time.
    wait = decoding / most(in_flight, 1.0) * tpot * waiting / most(others + 1.0, 1.0)
    ttft = wait + ttft_s + ttft_s_per_running * others + prefill_s_per_token * pending_prefill
    beside = least(in_flight, slots)
    return wait, ttft, tpot, beside, tpot_s_per_running * beside, tpot_s_per_running * decoding
