"""A small share of requests for deployments that are seldom chosen, so that beliefs about them stay true.

A deployment that once looked slow gets no requests, so nothing is measured there, so it goes on looking slow.
Two remedies, both off unless switched on. `epsilon` sends a fixed share of requests to the candidate that
was chosen longest ago. `thompson` draws each candidate's latency from what is known of it: little was
measured, so the draw is wide and sometimes low. Neither goes where a filter forbids, and neither is
used for a request with a strict SLO.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray

Method = Literal["epsilon", "thompson"]
_SPREAD = 0.3
"""Standard deviation of log latency where nothing was measured."""
_STALE_S = 60.0
"""After so long without a choice, what was measured counts for half."""


@dataclass(frozen=True, slots=True)
class ExplorationRule:
    """How, and for which share of requests at most."""

    method: Method = "epsilon"
    share: float = 0.02


def explores(rule: ExplorationRule | None, random: Random) -> bool:
    """Whether this request is one of the share; without a rule, none is."""
    return rule is not None and random.random() < rule.share


def least_recently_chosen(last_chosen_s: FloatArray, allowed: BoolArray) -> int:
    """The allowed candidate (of N) that was chosen longest ago, -inf for never; the first of several."""
    return int(np.argmin(np.where(allowed, last_chosen_s, np.inf)))


def sampled_latency(
    e2e_s: FloatArray, measured: IntArray, last_chosen_s: FloatArray, now: float, random: Random
) -> FloatArray:
    """Latency (N,) drawn from a log-normal around the prediction, the wider the less was measured lately."""
    age_s = np.maximum(now - last_chosen_s, 0.0)
    fresh = measured * np.exp2(-age_s / _STALE_S)
    normal = np.array([random.gauss(0.0, 1.0) for _ in range(e2e_s.size)])
    return np.asarray(e2e_s * np.exp(_SPREAD / np.sqrt(1.0 + fresh) * normal), dtype=np.float64)
