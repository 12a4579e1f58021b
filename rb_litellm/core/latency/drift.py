"""Drift detection: notice that measurements have left the predictions, and report it once.

Predictions follow the measurements by themselves. Drift is for the operator, because something behind the
deployment has changed: a throttled GPU, another model under an old name, prompts of a new kind. The detector
is a two-sided CUSUM (Page, Continuous Inspection Schemes, Biometrika 1954) over the residuals

    z = clip(log(measured / predicted) / scale, -4, 4)
    up = max(0, up + z - allowance)        down = max(0, down - z - allowance)        score = max(up, down)

where `scale` is a slow moving average of the residual's size. The sums grow while residuals exceed the
allowance and fall back once predictions are right again. With an allowance of one scale and a threshold of
12, chance hardly ever raises an alarm, and a threefold slowdown does within a few requests.

There is one score per figure of a deployment or model. The caller logs and exports.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rb_litellm.core.latency.learning.evidence import taught_by
from rb_litellm.core.types import Outcome

DriftKind = Literal["ttft", "tpot", "output_tokens"]

MAX_TRACKED = 8192
"""Scores kept; beyond it, the least recently updated one is dropped."""
ALARM = 12.0
"""A figure drifts from this score on,"""
CALM = 4.0
"""until the score falls below this one (hysteresis, so that a score near the threshold reports once)."""
_MOST = 2.0 * ALARM
"""Upper bound of a score, so that it falls soon once a drift is over."""
_ALLOWANCE = 1.0
"""Part of each residual that does not count, in units of its scale (the slack `k` of a CUSUM)."""
_CLIP = 4.0
"""One measurement counts for at most this many scales."""
_USUAL = 0.35
"""Scale of the log residuals before anything was measured."""
_LEAST_USUAL = 0.1
"""Lower bound of the scale."""
_USUAL_GAIN = 1.0 / 200.0
_REACH = math.log(100.0)
"""The reported ratio counts a measurement for at most a factor of 100."""
_RATIO_GAIN = 1.0 / 16.0
"""It is a moving average since the score left zero, over about the last 16 measurements."""
_MOSTLY = 0.5
"""From this share of answers on that a limit ended, the limit is the cause of short ones."""
WORDS: dict[DriftKind, str] = {
    "ttft": "time to first token",
    "tpot": "time per output token",
    "output_tokens": "output length",
}


@dataclass(slots=True)
class Cusum:
    """The two sums of one figure of one deployment or model."""

    up: float = 0.0
    down: float = 0.0
    usual: float = _USUAL
    log_ratio: float = 0.0
    limited: float = 0.0
    """Share of the answers that a limit on their tokens ended, averaged as the ratio is."""
    since: int = 0
    """Measurements since the score left zero."""
    drifting: bool = False

    @property
    def score(self) -> float:
        """Evidence that measurements have left the predictions, from 0 to twice ALARM."""
        return max(self.up, self.down)

    @property
    def ratio(self) -> float:
        """Measured / predicted: a geometric moving average since the score left zero."""
        return math.exp(self.log_ratio)

    def observe(self, predicted: float, measured: float, limited: bool = False) -> bool:
        """Learn from one pair of positive figures; True when the figure begins or ceases to drift."""
        residual = math.log(measured) - math.log(predicted)
        unit = min(max(residual / self.usual, -_CLIP), _CLIP)
        self.up = min(max(self.up + unit - _ALLOWANCE, 0.0), _MOST)
        self.down = min(max(self.down - unit - _ALLOWANCE, 0.0), _MOST)
        self.since = self.since + 1 if self.score > 0.0 else 0
        if self.since:
            gain = max(_RATIO_GAIN, 1.0 / self.since)
            self.log_ratio += gain * (min(max(residual, -_REACH), _REACH) - self.log_ratio)
            self.limited += gain * (limited - self.limited)
        else:
            self.log_ratio = self.limited = 0.0
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
    predictor: bool = True
    """Whether lengths are predicted by a predictor; else by the priors."""
    limited: float = 0.0
    """Share of the answers that a limit on their tokens ended."""

    def __str__(self) -> str:
        figure = f"{WORDS[self.kind]} of {self.name}"
        if not self.drifting:
            return f"{figure} is as predicted again (drift score {self.score:.1f})"
        change = f"{figure} is {self.ratio:.2g} times what is predicted (drift score {self.score:.1f})"
        if self.kind == "output_tokens" and self.ratio < 1.0 and self.limited >= _MOSTLY:
            return (
                f"{change}. A limit cuts {self.limited:.0%} of these answers short (finish_reason `length`), "
                "so no predictor is at fault: raise `max_tokens` in the deployment's litellm_params, in the "
                "client or in the server, or state model_info.routebalance.output_tokens"
            )
        if self.kind == "output_tokens" and not self.predictor:
            return (
                f"{change}. No predictor is set up, so what is off is the prior: state "
                "model_info.routebalance.output_tokens, or train a predictor on your own spend logs "
                "(routebalance train --from-spend-logs)"
            )
        if self.kind == "output_tokens":
            return (
                f"{change}. The predictor has not seen such traffic: train it anew from the present spend "
                "logs (routebalance train --from-spend-logs)"
            )
        return (
            f"{change}. Predictions follow within a few dozen requests and traffic moves with them. If it "
            "stays: look at the server's load, clocks and batch settings, at what changed behind its name, "
            "and at other clients that use it (setting `scrape`)"
        )


class Drift:
    """The scores of all figures. Bounded by MAX_TRACKED; guard with the caller's lock."""

    def __init__(self) -> None:
        self._scores: OrderedDict[tuple[str, DriftKind], Cusum] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[str, DriftKind, Cusum]]:
        for (name, kind), cusum in self._scores.items():
            yield name, kind, cusum

    def learn(self, outcome: Outcome, model: str | None = None) -> list[Change]:
        """Learn from a closed attempt: times of its deployment, and length of its `model` where given."""
        predicted = outcome.predicted
        taught = taught_by(outcome)
        if predicted is None or outcome.error is not None or not taught.times:
            return []
        changes = [
            self.observe(outcome.deployment, "ttft", predicted.ttft_s, outcome.ttft_s),
            self.observe(outcome.deployment, "tpot", predicted.tpot_s, outcome.tpot_s),
        ]
        if model is not None and taught.length:
            changes.append(
                self.observe(
                    model, "output_tokens", predicted.output_tokens, outcome.output_tokens, outcome.limited
                )
            )
        return [change for change in changes if change is not None]

    def observe(
        self,
        name: str,
        kind: DriftKind,
        predicted: float,
        measured: float | None,
        limited: bool = False,
    ) -> Change | None:
        """Learn from one pair and return the change, if any; skips pairs that are not positive and finite."""
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
        if not cusum.observe(predicted, measured, limited):
            return None
        return Change(name, kind, cusum.drifting, cusum.score, cusum.ratio, limited=cusum.limited)
