"""Drift: notice that measured figures have left predicted ones, and say so once.

Predictions follow what is measured by themselves; drift is for the operator, because something has changed
under them: a throttled GPU, another model behind an old name, prompts of a new kind. The score is a
two-sided CUSUM (Page, 1954) of log(measured / predicted) in units of its usual size: it adds up what
exceeds an allowance and falls back once predictions are right again. Chance hardly ever takes it to
the threshold; a threefold slowdown does within five requests.

One deployment or model, one kind of figure: one score. Pure: the caller logs and exports.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rb_litellm.core.types import Outcome

DriftKind = Literal["ttft", "tpot", "output_tokens"]

MAX_TRACKED = 8192
"""Scores kept; the one that was not fed for longest is forgotten."""
ALARM = 12.0
"""Score from which on something is said to drift,"""
CALM = 4.0
"""and below which it no longer is."""
_MOST = 2.0 * ALARM
"""Scores stay below, so that a drift that is over is seen to be."""
_ALLOWANCE = 1.0
"""In usual sizes of the residual: what is not counted."""
_CLIP = 4.0
"""One measurement counts for at most so many usual sizes."""
_USUAL = 0.35
"""Usual size of a log residual before measurements; and never below"""
_LEAST_USUAL = 0.1
_USUAL_GAIN = 1.0 / 200.0
_REACH = math.log(100.0)
"""The ratio that is told counts a measurement for at most a factor of 100,"""
_RATIO_GAIN = 1.0 / 16.0
"""and is the mean since the score left zero, of the last dozen or so."""
_WORDS = {"ttft": "time to first token", "tpot": "time per output token", "output_tokens": "output length"}


@dataclass(slots=True)
class Cusum:
    """One figure of one deployment or model."""

    up: float = 0.0
    down: float = 0.0
    usual: float = _USUAL
    log_ratio: float = 0.0
    since: int = 0
    """Measurements since the score left zero."""
    drifting: bool = False

    @property
    def score(self) -> float:
        """How surely measurements have left the predictions; from 0 to twice ALARM."""
        return max(self.up, self.down)

    @property
    def ratio(self) -> float:
        """Measured / predicted, the geometric mean since the score left zero, of the last dozen or so."""
        return math.exp(self.log_ratio)

    def observe(self, predicted: float, measured: float) -> bool:
        """Take in one pair of positive figures; True when it begins or ceases to drift."""
        residual = math.log(measured) - math.log(predicted)
        unit = min(max(residual / self.usual, -_CLIP), _CLIP)
        self.up = min(max(self.up + unit - _ALLOWANCE, 0.0), _MOST)
        self.down = min(max(self.down - unit - _ALLOWANCE, 0.0), _MOST)
        self.since = self.since + 1 if self.score > 0.0 else 0
        if self.since:
            gain = max(_RATIO_GAIN, 1.0 / self.since)
            self.log_ratio += gain * (min(max(residual, -_REACH), _REACH) - self.log_ratio)
        else:
            self.log_ratio = 0.0
        self.usual += _USUAL_GAIN * (1.25 * abs(unit) * self.usual - self.usual)
        self.usual = max(self.usual, _LEAST_USUAL)
        before = self.drifting
        self.drifting = self.score >= (CALM if before else ALARM)
        return self.drifting is not before


@dataclass(frozen=True, slots=True)
class Change:
    """A figure has begun, or ceased, to drift."""

    name: str
    """Deployment, or model for lengths."""
    kind: DriftKind
    drifting: bool
    score: float
    ratio: float

    def __str__(self) -> str:
        figure = f"{_WORDS[self.kind]} of {self.name}"
        if not self.drifting:
            return f"{figure} is as predicted again (drift score {self.score:.1f})"
        told = f"{figure} is {self.ratio:.2g} times what is predicted (drift score {self.score:.1f})"
        if self.kind == "output_tokens":
            return (
                f"{told}. The predictor has not seen such traffic: train it anew from the present spend "
                "logs (routebalance train --from-spend-logs)"
            )
        return (
            f"{told}. Predictions follow within a few dozen requests and traffic moves with them. If it "
            "stays: look at the server's load, clocks and batch settings, at what changed behind its name, "
            "and at other clients that use it (setting `scrape`)"
        )


class Drift:
    """All scores. Bounded by MAX_TRACKED; guard with the caller's lock."""

    def __init__(self) -> None:
        self._scores: OrderedDict[tuple[str, DriftKind], Cusum] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[str, DriftKind, Cusum]]:
        for (name, kind), cusum in self._scores.items():
            yield name, kind, cusum

    def learn(self, outcome: Outcome, model: str | None = None) -> list[Change]:
        """Feed what a closed attempt measured: times by its deployment, length by its model if told."""
        predicted = outcome.predicted
        if predicted is None or outcome.error is not None:
            return []
        changes = [
            self.observe(outcome.deployment, "ttft", predicted.ttft_s, outcome.ttft_s),
            self.observe(outcome.deployment, "tpot", predicted.tpot_s, outcome.tpot_s),
        ]
        if model is not None:
            changes.append(
                self.observe(model, "output_tokens", predicted.output_tokens, outcome.output_tokens)
            )
        return [change for change in changes if change is not None]

    def observe(self, name: str, kind: DriftKind, predicted: float, measured: float | None) -> Change | None:
        """Feed one pair; what it changed. Figures missing, not positive or infinite are passed over."""
        if measured is None or not (0.0 < predicted < math.inf and 0.0 < measured < math.inf):
            return None
        key = (name, kind)
        cusum = self._scores.get(key)
        if cusum is None:
            cusum = self._scores[key] = Cusum()
            if len(self._scores) > MAX_TRACKED:
                self._scores.popitem(last=False)
        else:
            self._scores.move_to_end(key)
        if not cusum.observe(predicted, measured):
            return None
        return Change(name, kind, cusum.drifting, cusum.score, cusum.ratio)
