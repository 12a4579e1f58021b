"""All that may take candidates away from a request, in order: admission, budget, service levels.

A request that sets none of them never comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from rb_litellm.core.admission import Admission
from rb_litellm.core.ballot import Predictions, Term, Verdict
from rb_litellm.core.budget import Budget
from rb_litellm.core.slo import Odds, Slo, judge, needed
from rb_litellm.core.types import BoolArray, FloatArray

MAX_RETRY_AFTER_S = 120.0
"""A client is not told to stay away for longer: the forecast does not reach that far."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request sets; None sets nothing."""

    slo: Slo | None = None
    budget: Budget | None = None
    admission: Admission | None = None


@dataclass(slots=True)
class Filtered:
    """What the filters left, or why they left nothing."""

    allowed: BoolArray
    verdicts: tuple[Verdict, ...] = ()
    relaxed: tuple[str, ...] = ()
    penalty: Term | None = None
    affordable_tokens: FloatArray | None = None
    refused: Literal["slo", "budget", "load"] | None = None
    needed: Mapping[str, float] = field(default_factory=dict)
    retry_after_s: float | None = None


def apply(
    limits: Limits,
    predictions: Predictions,
    idle: Callable[[], Predictions],
    offered: BoolArray,
    input_usd: FloatArray,
    output_usd: FloatArray,
    price_known: BoolArray | None,
    odds: Odds,
) -> Filtered:
    """Filter the offered candidates (N,); `idle` makes the predictions as if nothing else were running.

    `input_usd` and `output_usd` (N,) are prices per token; `price_known` (N,) where they are not guesses.
    """
    allowed = offered
    verdicts: tuple[Verdict, ...] = ()
    tokens: FloatArray | None = None
    if limits.admission is not None:
        limit, wait = limits.admission.max_wait_s, predictions.times.wait_s
        short = Verdict("wait", wait <= limit, limit, wait)
        allowed, verdicts = offered & short.passed, (short,)
        drain = None if np.count_nonzero(allowed) else limits.admission.drain_s(wait, offered)
        if drain is not None:
            least = {"wait": float(wait[offered].min())}
            return Filtered(allowed, verdicts, refused="load", needed=least, retry_after_s=_bounded(drain))
    if limits.budget is not None:
        tokens = limits.budget.affordable_tokens(input_usd, output_usd)
        if price_known is not None:
            tokens = np.where(price_known, tokens, -1.0)
        verdict = Verdict(
            "affordable",
            tokens >= limits.budget.min_output_tokens,
            limits.budget.max_cost_usd,
            limits.budget.input_tokens * input_usd + limits.budget.min_output_tokens * output_usd,
        )
        allowed, verdicts = allowed & verdict.passed, (*verdicts, verdict)
        if not np.count_nonzero(allowed):
            dearest = {"budget": float(verdict.level[offered].min())}
            return Filtered(allowed, verdicts, refused="budget", needed=dearest)
    if limits.slo is None or not limits.slo.asks:
        return Filtered(allowed, verdicts, affordable_tokens=tokens)
    judged = judge(limits.slo, predictions, allowed, odds)
    verdicts += judged.verdicts
    if not np.count_nonzero(judged.allowed):
        return Filtered(
            judged.allowed,
            verdicts,
            refused="slo",
            needed=needed(limits.slo, predictions, allowed, odds),
            retry_after_s=_when_idle_would_do(limits.slo, predictions, idle(), allowed, odds),
        )
    return Filtered(judged.allowed, verdicts, judged.relaxed, judged.penalty, tokens)


def _when_idle_would_do(
    slo: Slo, predictions: Predictions, idle: Predictions, allowed: BoolArray, odds: Odds
) -> float | None:
    """Seconds until the soonest candidate is rid of its load, if its load is what fails the request."""
    without_load = judge(slo, idle, allowed, odds).allowed
    if not without_load.any():
        return None
    extra = predictions.times.e2e_s - idle.times.e2e_s
    return _bounded(float(extra[without_load].min()))


def _bounded(seconds: float) -> float:
    return float(np.clip(seconds, 1.0, MAX_RETRY_AFTER_S))
