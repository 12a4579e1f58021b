"""A soft landing: as a day's dollars or a minute's requests run out, what counts in the score shifts to cost.

Nothing changes until BEGINS of them are used. From there the shift grows evenly to 1 when all are: then the
cheapest candidate wins, by the weights of the preset `cheapest`. Nobody is refused for it.
"""

from __future__ import annotations

from dataclasses import replace

from rb_litellm.core.decision.scoring import PRESETS, JointScore, Objective, Priced, Weights
from rb_litellm.core.targets.objective import Targeted

BEGINS = 0.8
_STEPS = 20
"""A shift is rounded to twentieths, so that requests in a row share one objective."""
_PRICE = 10.0
"""Added to the price of cost under targets, at a shift of 1."""


def shift(used: float, of: float) -> float:
    """How far it has come: 0 before it begins, 1 when all is used."""
    begun = (used / of - BEGINS) / (1.0 - BEGINS)
    return round(_STEPS * min(max(begun, 0.0), 1.0)) / _STEPS


def landed(objective: Objective, by: float) -> Objective:
    """The objective with what counts shifted to cost; the same one for a shift of 0."""
    if by <= 0.0:
        return objective
    if isinstance(objective, JointScore):
        return replace(objective, weights=_between(objective.weights, PRESETS["cheapest"], by))
    if isinstance(objective, Priced):
        return Priced(objective.usd_per_quality * (1.0 - by), objective.usd_per_second * (1.0 - by))
    if isinstance(objective, Targeted):
        return replace(objective, price_of_cost=objective.price_of_cost + _PRICE * by)
    return objective


def _between(start: Weights, end: Weights, by: float) -> Weights:
    quality = start.quality + by * (end.quality - start.quality)
    latency = start.latency + by * (end.latency - start.latency)
    return Weights(quality, latency, max(1.0 - quality - latency, 0.0))
