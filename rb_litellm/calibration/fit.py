"""The latency model's form fitted to what was measured of one server, and how well it fits.

    TTFT = base + per_token * effective(n)      n prompt tokens, on an idle server
    TPOT = alone + per_running * (b - 1)        b answers written at once

See `core.latency.forecast` for the form, and for the effective tokens, which follow from `per_token` and
`alone`. What is fitted are the medians of each prompt length and batch, and what
counts is the logarithm of their ratio; single medians that are far off count less (soft L1). How far repeated
measurements of the same thing lie apart says whether the server had anything else to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import mean, median

import numpy as np
from scipy.optimize import least_squares

from rb_litellm.calibration.facts import Facts
from rb_litellm.calibration.streams import Stream, most_at_once, pace_of
from rb_litellm.core.latency.forecast import effective_tokens, ridge_tokens
from rb_litellm.core.types import FloatArray

_OUTLYING = 0.1
"""Relative error from which a median counts less."""
_SAVED = 0.5
"""Share of a prompt's prefill that a repetition must save to speak for a prefix cache."""


@dataclass(frozen=True, slots=True)
class Measured:
    """All answers of one calibration; each list of batches is in the order of their sizes."""

    alone: Sequence[Sequence[Stream]]
    """By prompt length: answers to prompts that met nobody and were new to the server."""
    together: Sequence[Sequence[Stream]]
    """Answers that were asked for at once; the first batches are of one."""
    repeated: Sequence[Stream] = ()
    """Answers to one and the same prompt, one after the other."""
    queue_seen: int | None = None
    """Slots, where some answers had to wait for others to end, twice."""
    facts: Facts = field(default_factory=Facts)
    """What the server states of itself."""
    context_window: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """y = base + slope * x, both at least 0, and the mean of |fitted / measured - 1|.

    Of tokens of prompts, the effective ones are meant.
    """

    base: float
    slope: float
    error: float
    ridge: float = 0.0
    """Tokens whose computing takes as long as a lone decode step; 0 where x are no tokens."""

    def at(self, x: float) -> float:
        """The fitted y."""
        return self.base + self.slope * effective_tokens(x, self.ridge)


@dataclass(frozen=True, slots=True)
class Calibration:
    """One server as it was measured. Times are in s."""

    ttft: Line
    """By prompt tokens."""
    tpot: Line
    """By further answers written at once."""
    ttft_s: Mapping[int, float]
    """Medians by prompt tokens."""
    tpot_s: Mapping[int, float]
    """Medians by answers written at once."""
    slots: int | None
    """None where as many as were asked for at once were written at once."""
    most_asked: int
    """Answers asked for at once, at most."""
    context_window: int | None
    kv_tokens: int | None
    prefix_cache: bool
    spread: float
    """Median over the prompt lengths of (longest - shortest) / median TTFT."""


def fitted(measured: Measured) -> Calibration:
    """The server behind what was measured."""
    ttft_s = {
        round(median(s.input_tokens for s in streams)): median(s.ttft_s for s in streams)
        for streams in measured.alone
    }
    tpot_s: dict[int, list[float]] = {}
    for streams in measured.together:
        pace = pace_of(streams)
        if pace is not None:
            tpot_s.setdefault(most_at_once(streams), []).append(pace)
    paces = {batch: median(found) for batch, found in sorted(tpot_s.items())}
    tpot = _line({batch - 1: pace for batch, pace in paces.items()})
    ttft = _line(ttft_s, tpot.base)
    return Calibration(
        ttft=ttft,
        tpot=tpot,
        ttft_s=dict(sorted(ttft_s.items())),
        tpot_s=paces,
        slots=measured.queue_seen or measured.facts.slots,
        most_asked=max(len(streams) for streams in measured.together),
        context_window=measured.context_window,
        kv_tokens=measured.facts.kv_tokens,
        prefix_cache=_caches(measured.repeated, ttft),
        spread=median(_spread([s.ttft_s for s in streams]) for streams in measured.alone),
    )


def _spread(times: Sequence[float]) -> float:
    return (max(times) - min(times)) / median(times)


def _line(points: Mapping[int, float], step_s: float = 0.0) -> Line:
    """Through the points; of prompts, where `step_s` is how long a lone decode step takes."""
    x = np.array(list(points), dtype=np.float64)
    y = np.array(list(points.values()), dtype=np.float64)
    if x.size == 1:
        return Line(float(y[0]), 0.0, 0.0)
    # In units of their own size, for one step size to suit both.
    x_unit, y_unit = float(x.max()), float(y.max())

    def line(base: float, slope: float) -> Line:
        slope *= y_unit / x_unit
        return Line(base * y_unit, slope, 0.0, ridge_tokens(step_s, slope) if step_s else 0.0)

    def ratio(its: Line) -> FloatArray:
        fitted_y: FloatArray = its.base + its.slope * (np.hypot(its.ridge, x) - its.ridge)
        return fitted_y / y

    found = least_squares(
        lambda w: np.log(ratio(line(*w))),
        x0=(float(y.min()) / y_unit, 0.5),
        bounds=(1e-6, np.inf),
        loss="soft_l1",
        f_scale=_OUTLYING,
    ).x
    its = line(*found.tolist())
    return replace(its, error=float(np.mean(np.abs(ratio(its) - 1.0))))


def _caches(repeated: Sequence[Stream], ttft: Line) -> bool:
    if len(repeated) < 2:
        return False
    first, *later = repeated
    if any(stream.cached_tokens for stream in later):
        return True
    prefill_s = ttft.at(first.input_tokens) - ttft.base
    return first.ttft_s - mean(stream.ttft_s for stream in later) > _SAVED * prefill_s > 0.0
