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

from dataclasses import dataclass

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


def forecast(
    coefficients: LatencyCoefficients,
    state: InstanceState,
    prefill_tokens: float | FloatArray,
    output_tokens: FloatArray,
    slowdown: FloatArray | None = None,
) -> LatencyForecast:
    """Predict one request on every deployment under the load of `state`, itself joining it.

    `prefill_tokens` are those of its input that are to be computed, on all or (N,) on each;
    `output_tokens` (N,) is the expected length on each; `slowdown` (N,), at least one, stretches all
    times of deployments whose open attempts are overdue.
    """
    c, decoding = coefficients, state.pending_decode_tokens
    others = np.minimum(state.in_flight, c.slots - 1.0)  # that run beside this one, once it runs
    waiting = state.in_flight - others
    tpot = c.tpot_s + c.tpot_s_per_running * others
    # Time until as many sequences have ended as stand before this one: each of the b running ones
    # has on average D / b tokens to go, and b of them end within that time.
    wait = decoding / np.maximum(state.in_flight, 1.0) * tpot * waiting / np.maximum(others + 1.0, 1.0)
    prefill = c.prefill_s_per_token * prefill_tokens
    ttft = wait + c.ttft_s + c.ttft_s_per_running * others
    ttft += c.prefill_s_per_token * state.pending_prefill_tokens + prefill
    e2e = ttft + np.maximum(output_tokens - 1.0, 0.0) * tpot
    beside = np.minimum(state.in_flight, c.slots)
    burden = beside * prefill + c.tpot_s_per_running * np.minimum(decoding, output_tokens * beside)
    if slowdown is None:
        return LatencyForecast(wait, ttft, tpot, e2e, burden)
    return LatencyForecast(
        wait * slowdown, ttft * slowdown, tpot * slowdown, e2e * slowdown, burden * slowdown
    )
