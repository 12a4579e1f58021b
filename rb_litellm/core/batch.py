"""The requests of a batch, and all of their weighing that no placement changes.

Quality, cost and what a budget pays for are the same whoever was placed before. They are worked out for the
whole batch together: where candidates are few, calls cost more than numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rb_litellm.core.affinity import Held
from rb_litellm.core.breakdown import Term, all_of
from rb_litellm.core.budget import Payable, payable
from rb_litellm.core.exploration import ExplorationRule
from rb_litellm.core.filters import Limits, rest_kept
from rb_litellm.core.scoring import BALANCED, Objective
from rb_litellm.core.types import BoolArray, FloatArray

_UNLIMITED = Limits()
_Scalar = TypeVar("_Scalar", np.float64, np.bool_)


@dataclass(slots=True)
class Bid:
    """One request of a batch with what is predicted for it on each of N deployments."""

    input_tokens: float
    quality: FloatArray
    """(N,) in [0, 1]."""
    output_tokens: FloatArray
    """(N,) expected."""
    allowed: BoolArray
    """(N,) deployments that may serve it; at least one."""
    objective: Objective = BALANCED
    limits: Limits | None = None
    """Service levels, budget, admission; None costs nothing."""
    held: Held | None = None
    """What is probably cached of its prompt, where affinity is on."""
    exploration: ExplorationRule | None = None
    """How it may be sent where little is known; None for never."""


@dataclass(slots=True)
class Prices:
    """USD per token of N deployments; every array has shape (N,)."""

    input_usd: FloatArray
    output_usd: FloatArray
    known: BoolArray | None = None
    """Where False, the prices above are guesses, and a request with a budget does not go there."""


@dataclass(slots=True)
class Lot:
    """A bid with what lasts of its weighing; every array has shape (N,)."""

    bid: Bid
    cost_usd: FloatArray
    quality: Term
    cost: Term
    points: FloatArray
    """What these two terms come to."""
    payable: Payable | None = None
    """What its budget pays for, where it has one."""
    rest_kept: bool = True
    """Whether every candidate passes all of its limits but those on time."""


def lots(bids: Sequence[Bid], prices: Prices) -> list[Lot]:
    """The lasting part of each bid, in the order of `bids`."""
    return [_lone(bids[0], prices)] if len(bids) == 1 else _together(bids, prices)


def _lone(bid: Bid, prices: Prices) -> Lot:
    """The same for one bid, which as a batch of one would take twice the time."""
    cost_usd = bid.input_tokens * prices.input_usd + bid.output_tokens * prices.output_usd
    quality, cost = bid.objective.lasting(bid.quality, cost_usd, bid.allowed)
    lot = Lot(bid, cost_usd, quality, cost, quality.points + cost.points)
    if bid.limits is not None:
        least_quality = bid.quality.item(bid.quality.argmin())
        _hold_limits([lot], [least_quality], [cost_usd.item(cost_usd.argmax())], prices)
    return lot


def _together(bids: Sequence[Bid], prices: Prices) -> list[Lot]:
    quality = _matrix([bid.quality for bid in bids])
    allowed = _matrix([bid.allowed for bid in bids])
    cost_usd = _matrix([bid.output_tokens for bid in bids]) * prices.output_usd
    cost_usd += np.array([bid.input_tokens for bid in bids])[:, None] * prices.input_usd
    alike: dict[Objective, list[int]] = {}
    for position, bid in enumerate(bids):
        alike.setdefault(bid.objective, []).append(position)
    found: dict[int, Lot] = {}
    for objective, positions in alike.items():
        its = slice(None) if len(positions) == len(bids) else positions
        costs = cost_usd[its]
        of_quality, of_cost = objective.lasting(quality[its], costs, allowed[its])
        points = of_quality.points + of_cost.points
        for at, position in enumerate(positions):
            found[position] = Lot(
                bids[position],
                costs[at],
                Term(of_quality.name, of_quality.weight, of_quality.value[at]),
                Term(of_cost.name, of_cost.weight, of_cost.value[at]),
                points[at],
            )
    in_order = [found[position] for position in range(len(bids))]
    if any(bid.limits is not None for bid in bids):
        least_quality: list[float] = np.minimum.reduce(quality, axis=1).tolist()
        _hold_limits(in_order, least_quality, np.maximum.reduce(cost_usd, axis=1).tolist(), prices)
    return in_order


def _hold_limits(
    its: Sequence[Lot], least_quality: Sequence[float], most_usd: Sequence[float], prices: Prices
) -> None:
    """Fill in what the limits of R lots come to, given each one's worst quality and highest cost."""
    limits = [lot.bid.limits or _UNLIMITED for lot in its]
    budgets = {r: asked.budget for r, asked in enumerate(limits) if asked.budget is not None}
    if budgets:
        found = payable([*budgets.values()], prices.input_usd, prices.output_usd, prices.known)
        for r, pays in zip(budgets, found, strict=True):
            its[r].payable = pays
    for lot, asked, worst, dearest in zip(its, limits, least_quality, most_usd, strict=True):
        lot.rest_kept = rest_kept(asked, lot.payable, worst, dearest)


def longest_first(bids: Sequence[Bid]) -> list[int]:
    """Positions of the bids by falling expected output length (mean over what each may use)."""
    if len(bids) == 1:
        return [0]
    tokens, allowed = _matrix([bid.output_tokens for bid in bids]), _matrix([bid.allowed for bid in bids])
    if not all_of(allowed):
        tokens = np.where(allowed, tokens, 0.0)
    lengths = np.add.reduce(tokens, axis=1) / np.add.reduce(allowed, axis=1)
    order: list[int] = (-lengths).argsort(kind="stable").tolist()
    return order


def _matrix(rows: Sequence[NDArray[_Scalar]]) -> NDArray[_Scalar]:
    """(R, N) of R rows; `np.array` takes several times as long."""
    return np.concatenate(rows).reshape(len(rows), -1)
