"""Which deployments a request may have several answers of, and what is expected of each at each n.

By a compiled loop where there is one, else by NumPy, with the same figures to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rb_litellm.core.best_of.rule import BestOfRule, any_right
from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.decision.breakdown import ScoreBreakdown
from rb_litellm.core.latency.forecast import PARTS, LatencyCoefficients, load_part, times_of
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState, IntArray

MODELS = 4
"""Models that may be asked for several answers."""


@dataclass(slots=True)
class SampleFigures:
    """Of K candidates; every array has shape (K,)."""

    rows: IntArray
    """Of the deployment,"""
    n: IntArray
    """and how many answers it is asked for."""
    wait_s: FloatArray
    """Times of the last of n answers, which are computed from one prefill and run side by side."""
    ttft_s: FloatArray
    tpot_s: FloatArray
    e2e_s: FloatArray
    burden_s: FloatArray
    any_right: FloatArray
    """Probability that one of all is right."""
    quality: FloatArray
    """Of the one that the judge picks."""
    longest: FloatArray
    """Tokens of the longest answer."""
    verdict_usd: FloatArray
    """What the judge costs,"""
    further_usd: FloatArray
    """and what all answers but one do."""


@dataclass(slots=True)
class SampleSetting:
    """What the figures are worked out from, beside the score breakdown; every array has shape (N,)."""

    models: IntArray
    """Number of each one's model."""
    takes_n: BoolArray
    """Who can be asked for several answers."""
    coefficients: LatencyCoefficients
    """Slowed where deployments are."""
    state: InstanceState
    input_tokens: float
    prefill_tokens: FloatArray
    output_usd: FloatArray

    def figures(self, rule: BestOfRule, breakdown: ScoreBreakdown) -> SampleFigures | None:
        """Of all that are offered: of each model the best deployment that can be asked for several answers,
        of these the MODELS of the best score, none for more answers than it runs at once.

        None where nobody can be asked.
        """
        return IN_USE.either(
            lambda loops: self._by_loops(loops, rule, breakdown), lambda: self._by_numpy(rule, breakdown)
        )

    def _by_loops(self, loops: Loops, rule: BestOfRule, breakdown: ScoreBreakdown) -> SampleFigures | None:
        predictions, state = breakdown.predictions, self.state
        room = MODELS * len(rule.choices)
        rows, n, found = np.empty(room, np.int64), np.empty(room, np.int64), np.empty((10, room))
        count = loops.sample_figures(
            *self.coefficients.per_load,
            state.in_flight,
            state.pending_prefill_tokens,
            state.pending_decode_tokens,
            breakdown.scores,
            breakdown.allowed & self.takes_n,
            self.models,
            predictions.quality,
            predictions.output_tokens,
            np.ascontiguousarray(self.prefill_tokens, dtype=np.float64),
            np.ascontiguousarray(predictions.times.burdens_s),
            self.output_usd,
            np.array(rule.choices, dtype=np.int64),
            rule.lengthened,
            rule.discernment,
            rule.correlation,
            rule.longest_tokens,
            rule.judge_usd,
            rule.judge_usd_per_token,
            min(self.input_tokens, rule.judge_most_tokens),
            rule.judge_most_tokens,
            np.empty(self.models.item(self.models.argmax()) + 1, np.int64),
            MODELS,
            rows,
            n,
            found,
        )
        return SampleFigures(rows[:count], n[:count], *found[:, :count]) if count else None

    def _by_numpy(self, rule: BestOfRule, breakdown: ScoreBreakdown) -> SampleFigures | None:
        rows, n = self._offered(rule, breakdown)
        if not rows.size:
            return None
        tokens = breakdown.predictions.output_tokens[rows]
        longest = rule.longest(tokens, n)
        further = n - 1
        c, state = self.coefficients.take(rows), self.state.take(rows)
        beside = (
            state.in_flight + further,
            state.pending_prefill_tokens,
            state.pending_decode_tokens + further * tokens,
        )
        parts = load_part(c.per_load, beside, np.minimum, np.maximum, np.sqrt)
        wait_s, ttft_s, tpot_s, e2e_s, _ = times_of(
            np.concatenate(parts).reshape(PARTS, -1), self.prefill_tokens[rows], longest
        )
        # Its siblings are no others whom it slows down; each slows the others down as one answer does.
        running = np.minimum(state.in_flight, c.slots)
        growth = c.tpot_s_per_running * (1.0 - c.prefill_share)
        decoding_s = growth * np.minimum(running * tokens, state.pending_decode_tokens)
        one = breakdown.predictions.quality[rows]
        right = any_right(one, n, rule.correlation)
        return SampleFigures(
            rows,
            n,
            wait_s,
            ttft_s,
            tpot_s,
            e2e_s,
            breakdown.predictions.times.burdens_s[rows] + further * decoding_s,
            right,
            rule.picked(one, right),
            longest,
            rule.verdict_usd(self.input_tokens, tokens, n),
            further * tokens * self.output_usd[rows],
        )

    def _offered(self, rule: BestOfRule, breakdown: ScoreBreakdown) -> tuple[IntArray, IntArray]:
        """(K,) rows of the deployments, and how many answers of each."""
        ranked: list[int] = (-breakdown.scores).argsort(kind="stable").tolist()
        model_of, takes, slots = self.models.tolist(), self.takes_n.tolist(), self.coefficients.slots
        best: dict[int, int] = {}
        for row in ranked[: int(np.count_nonzero(breakdown.allowed))]:
            if takes[row]:
                best.setdefault(model_of[row], row)
                if len(best) == MODELS:
                    break
        pairs = [(row, n) for row in best.values() for n in rule.choices if n <= slots.item(row)]
        rows, counts = zip(*pairs, strict=True) if pairs else ((), ())
        return np.array(rows, dtype=np.int64), np.array(counts, dtype=np.int64)
