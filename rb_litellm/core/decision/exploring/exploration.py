"""Exploration: a small share of requests for rarely chosen deployments, so that estimates stay current.

A deployment that once looked slow gets no requests; so nothing is measured there, and it goes on looking
slow. This is the exploration problem of bandits. Three methods, the first in use if nothing else is set:

- `recovery`: single requests, bounded in number and in harm, go where they may well find something better
  than is believed (see `trials`).
- `epsilon` (epsilon-greedy; Sutton and Barto, Reinforcement Learning, chapter 2): a fixed share of requests
  goes to the candidate that was chosen longest ago.
- `thompson` (Thompson, 1933; https://arxiv.org/abs/1707.02038): each candidate's latency is drawn from a
  log-normal around its prediction, with standard deviation 0.3 / sqrt(1 + n) of its logarithm. n is the
  number of measurements, halved for each minute without a choice. Where little was measured, the draw is wide
  and sometimes low.

Neither sends a request where a filter forbids, and neither is used for a request with a strict SLO.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

import numpy as np

from rb_litellm.core.types import BoolArray, FloatArray, IntArray

Method = Literal["recovery", "epsilon", "thompson"]
_SPREAD = 0.3
"""Standard deviation of log latency where nothing was measured."""
_STALE_S = 60.0
"""Half-life of measurements on a deployment that is not chosen."""


@dataclass(frozen=True, slots=True)
class ExplorationRule:
    """The method, and the share of requests that explore."""

    method: Method = "epsilon"
    share: float = 0.02
    max_loss_s: float = 10.0
    """`recovery`: the longest forecast loss of a request that is sent to find something out."""


RECOVERY = ExplorationRule("recovery")
"""What holds where nothing else is set."""


def explores(rule: ExplorationRule | None, random: Random) -> bool:
    """Whether this request is one of the exploring share; none is without a rule."""
    return rule is not None and random.random() < rule.share


def least_recently_chosen(last_chosen_s: FloatArray, allowed: BoolArray) -> int:
    """The allowed one of N candidates that was chosen longest ago (-inf for never); the first on a tie."""
    return int(np.argmin(np.where(allowed, last_chosen_s, np.inf)))


def sampled_latency(
    e2e_s: FloatArray, measured: IntArray, last_chosen_s: FloatArray, now: float, random: Random
) -> FloatArray:
    """Latency (N,) drawn from a log-normal around each prediction: wider where less was measured lately."""
    age_s = np.maximum(now - last_chosen_s, 0.0)
    fresh = measured * np.exp2(-age_s / _STALE_S)
    normal = np.array([random.gauss(0.0, 1.0) for _ in range(e2e_s.size)])
    return np.asarray(e2e_s * np.exp(_SPREAD / np.sqrt(1.0 + fresh) * normal), dtype=np.float64)
