"""Learn the latency coefficients of deployments from measurements, starting from priors.

There are two speeds of learning, the simplest form of partial pooling:

- The *shape* (idle time, growth with load and with prompt length) is learned slowly, by a regression over all
  deployments of a tier, which run one model on one kind of hardware (see `regression`).
- The *scale* of each deployment against its tier is learned fast, as an exponentially weighted moving average
  (EWMA) of log(measured / expected), clipped to a factor of 4. Its gain is 1 / (n + 3) for the n-th
  measurement and never below 0.12, about the last eight. So a deployment that becomes three times slower is
  priced so within a few dozen of its own requests, and one odd measurement moves little. `pooling` says how
  far a difference within a tier is believed.

TTFT and TPOT are learned separately: a deployment can be slow to start and quick to write. But the first
token is the first sign of a change, often long before an answer is complete. So its time is learned when it
comes, and moves the scale of TPOT a little until answers say more. Where streams that are still open strongly
contradict TPOT as learned, their `DecodeSpeed` (see `stream_progress`) corrects it for as long.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from rb_litellm.core.latency import LatencyCoefficients, LatencyPrior
from rb_litellm.core.pooling import pooled
from rb_litellm.core.regression import Regression
from rb_litellm.core.stream_progress import DecodeSpeed
from rb_litellm.core.streams import Stream
from rb_litellm.core.types import FloatArray, IntArray, Outcome

_CLIP = math.log(4.0)
"""One measurement counts for at most a factor of four, so that an outlier moves little."""
_GAIN_FLOOR = 0.12
"""Least gain of the moving average of a deployment's scale."""
_HINT = 0.06
"""Gain with which the residual of a first token moves the scale of TPOT."""
_SHRINK = 0.002
"""Pull of a deployment's scale back to its tier's, per measurement."""
_MAX_SCALE = math.log(200.0)
_RUNNING_UNIT, _PREFILL_UNIT = 16.0, 1000.0
"""Units of the regressions' features: 16 running sequences and 1,000 tokens are usual values."""
_TPOT: Final = 0
_TTFT: Final = 1


@dataclass(slots=True)
class _Tier:
    tpot: Regression
    """On 1 and the running sequences."""
    ttft: Regression
    """On 1, the tokens to be prefilled, and the running sequences."""
    rows: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


class LatencyLearner:
    """Latency coefficients of a growing list of deployments, learned from measurements.

    Its rows count from 0 in the order in which deployments are added.
    """

    def __init__(self) -> None:
        self._tiers: dict[str, _Tier] = {}
        self._tier_of: list[str] = []
        self._tier_rows: dict[str, int] = {}
        self._measured: IntArray = np.zeros((2, 0), dtype=np.int64)
        self._log_scale: FloatArray = np.zeros((2, 0))
        self._decode_speeds: list[DecodeSpeed] = []
        self._factor: FloatArray = np.ones(0)
        """(N,) correction of TPOT by the decode speed of open streams."""
        self._coefficients = LatencyCoefficients.from_priors([])
        self._stale: set[tuple[str, Literal[0, 1]]] = set()
        """Tiers and kinds of time that were learned from since their coefficients were computed."""

    def __len__(self) -> int:
        return len(self._tier_of)

    @property
    def coefficients(self) -> LatencyCoefficients:
        """By row, as learned so far; computed when asked for, once for all that was learned since."""
        for tier, kind in self._stale:
            self._refresh(self._tiers[tier], kind)
        self._stale.clear()
        return self._coefficients

    def tier_row(self, row: int) -> int:
        """The number of the tier of the deployment at `row`; tiers count from 0 in order of appearance."""
        return self._tier_rows[self._tier_of[row]]

    def add(self, tier: str, prior: LatencyPrior) -> int:
        """Add a deployment of the given tier and return its row.

        The first deployment of a tier sets the tier's prior. Later ones start from what the tier has learned.
        """
        row = len(self._tier_of)
        if tier not in self._tiers:
            growth = prior.tpot_s_per_running * _RUNNING_UNIT
            self._tier_rows[tier] = len(self._tiers)
            self._tiers[tier] = _Tier(
                tpot=Regression((prior.tpot_s, growth)),
                ttft=Regression((prior.ttft_s, prior.prefill_s_per_token * _PREFILL_UNIT, growth)),
            )
        self._tier_of.append(tier)
        found = self._tiers[tier]
        found.rows = np.append(found.rows, row)
        self._measured = np.append(self._measured, np.zeros((2, 1), dtype=np.int64), axis=1)
        self._log_scale = np.append(self._log_scale, np.zeros((2, 1)), axis=1)
        self._decode_speeds.append(DecodeSpeed())
        self._factor = np.append(self._factor, 1.0)
        self._coefficients = self._coefficients.with_row(prior)
        self._stale |= {(tier, _TPOT), (tier, _TTFT)}
        return row

    def first_token(self, row: int, outcome: Outcome) -> None:
        """Learn from the first token of an attempt that is still open; `observe` then skips its TTFT."""
        residual = self._learn_ttft(row, outcome)
        if residual is not None:
            self._move(_TPOT, row, _HINT * residual)

    @property
    def measured(self) -> IntArray:
        """Number of answers (N,) by row whose TPOT or TTFT was measured."""
        either: IntArray = np.maximum(self._measured[_TPOT], self._measured[_TTFT])
        return either

    def observe(self, row: int, outcome: Outcome) -> None:
        """Learn from one closed attempt on the deployment at `row`; failures are skipped."""
        if outcome.error is not None:
            return
        if outcome.tpot_s is not None and outcome.tpot_s > 0.0:
            running = min(outcome.in_flight, float(self._coefficients.slots[row]) - 1.0)
            self._learn(_TPOT, row, (1.0, running / _RUNNING_UNIT), outcome.tpot_s)
        self._decode_speeds[row].observe_answer(outcome.output_tokens, outcome.chunks)
        if not outcome.first_token_learned:
            self._learn_ttft(row, outcome)

    @property
    def contradicted(self) -> IntArray:
        """Rows of deployments whose streams contradict TPOT as learned from answers."""
        return np.flatnonzero(self._factor != 1.0)

    def observe_streams(
        self, row: int, in_flight: float, streams: Sequence[Stream], now: float
    ) -> float | None:
        """Learn how fast the deployment at `row` writes now, from its open streams at this load.

        Call it about once a second; for a deployment in `contradicted`, without streams too. `now` is
        monotonic, in s. Returns the present TPOT in s if it is longer than learned from answers.
        """
        decode_speed, c = self._decode_speeds[row], self.coefficients
        others = min(max(in_flight - 1.0, 0.0), float(c.slots[row]) - 1.0)
        learned_s = float(c.tpot_s[row] + c.tpot_s_per_running[row] * others) / float(self._factor[row])
        decode_speed.observe(learned_s, streams, now)
        if decode_speed.factor != self._factor[row]:
            self._factor[row] = decode_speed.factor
            self._stale.add((self._tier_of[row], _TPOT))
        return learned_s * decode_speed.factor if decode_speed.factor > 1.0 else None

    def _learn_ttft(self, row: int, outcome: Outcome) -> float | None:
        # The TTFT of a request that had to queue is mostly the decoding of others and says little of prefill.
        if outcome.ttft_s is None or outcome.ttft_s <= 0.0:
            return None
        if outcome.in_flight >= float(self._coefficients.slots[row]):
            return None
        tokens = outcome.pending_prefill_tokens + outcome.input_tokens
        features = (1.0, tokens / _PREFILL_UNIT, outcome.in_flight / _RUNNING_UNIT)
        return self._learn(_TTFT, row, features, outcome.ttft_s)

    def _learn(self, kind: Literal[0, 1], row: int, features: tuple[float, ...], measured_s: float) -> float:
        """Learn from one measured time; returns the clipped log of measured / expected before it."""
        tier = self._tiers[self._tier_of[row]]
        shape = tier.ttft if kind == _TTFT else tier.tpot
        scale = math.exp(self._log_scale[kind, row])
        before = shape.at(features) * scale
        shape.observe(features, measured_s / scale)
        self._measured[kind, row] += 1
        gain = max(_GAIN_FLOOR, 1.0 / (float(self._measured[kind, row]) + 3.0))
        self._move(kind, row, gain * _clipped(measured_s / (shape.at(features) * scale)))
        return _clipped(measured_s / before)

    def _move(self, kind: Literal[0, 1], row: int, step: float) -> None:
        before = float(self._log_scale[kind, row])
        moved = min(max((before + step) * (1.0 - _SHRINK), -_MAX_SCALE), _MAX_SCALE)
        self._log_scale[kind, row] = moved
        if kind == _TPOT:
            self._decode_speeds[row].compensate(moved - before)
            self._factor[row] = self._decode_speeds[row].factor
        self._stale.add((self._tier_of[row], kind))

    def _refresh(self, tier: _Tier, kind: Literal[0, 1]) -> None:
        rows, c = tier.rows, self._coefficients
        scale = np.exp(pooled(self._log_scale[kind, rows], self._measured[kind, rows]))
        if kind == _TPOT:
            scale = scale * self._factor[rows]
            idle, growth = tier.tpot.weights
            c.tpot_s[rows] = idle * scale
            c.tpot_s_per_running[rows] = growth / _RUNNING_UNIT * scale
        else:
            base, prefill, growth = tier.ttft.weights
            c.ttft_s[rows] = base * scale
            c.prefill_s_per_token[rows] = prefill / _PREFILL_UNIT * scale
            c.ttft_s_per_running[rows] = growth / _RUNNING_UNIT * scale


def _clipped(ratio: float) -> float:
    return min(max(math.log(ratio), -_CLIP), _CLIP)
