"""Shares of the traffic that an operator states, kept among deployments that are otherwise alike.

Which model answers is the joint score's to say. Where several deployments of a model group would answer as
well and cost as much, the score differs by their load alone, and there an operator's weights count: of
weights 3 and 1 the first gets three of four requests. The rule is smooth weighted round robin, as in nginx
(`ngx_http_upstream_round_robin.c`): for each request, each deployment that takes part gains its share of one
request in credit, and the one with the most credit gets the request and pays one for it,

    credit_i += w_i / sum of w,     chosen = argmax credit,     credit_chosen -= 1.

So shares hold over any few requests and not on the average alone, and whoever takes no part (not healthy,
full, excluded, too slow) neither gains nor loses meanwhile: it does not come back to a burst.

Load is not forgotten. An equal whose predicted time is beyond SLOWER times the quickest equal's takes no
part until it has caught up: weights that a server cannot carry give way to what it can.

What counts as the weight: LiteLLM's `weight`; in a group where nobody states one, `rpm`, else `tpm`. A
deployment without weight in a group that has some weighs 1, as in every other load balancer; one without
`rpm` (`tpm`) has no limit and counts as the largest. Weight 0 takes a deployment out while any other
candidate has more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import BoolArray, FloatArray, IntArray

SLOWER = 2.0
"""How many times the time of the quickest equal one may need and still get its share."""
UNSTATED = 1.0
"""The weight of a deployment that has none, in a group where others have."""


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """What N candidates are to get; every array has shape (N,)."""

    weights: FloatArray
    """Compared within a model group only; at least 0."""
    groups: IntArray
    """Number of each candidate's model group."""
    standing: BoolArray | None = None
    """Those that are not drained by weight 0; None where that takes nobody out."""
    by_lot: bool = False
    """Drawn anew for every request, for weights that others do not share: a key's, or a team's."""

    def narrowed(self, allowed: BoolArray) -> BoolArray:
        """The allowed candidates (N,) without the drained ones, unless only these are there."""
        if self.standing is None:
            return allowed
        left = allowed & self.standing
        return left if np.count_nonzero(left) else allowed


def stated(deployments: Sequence[Deployment]) -> Shares | None:
    """The shares of N deployments; None where nobody states any, or the same as all others of its group."""
    if all(d.weight is None and d.rpm is None and d.tpm is None for d in deployments):
        return None
    groups = _numbered(deployments)
    weights, uneven = np.ones(len(deployments)), False
    for number in range(int(groups.max()) + 1):
        (rows,) = (groups == number).nonzero()
        its = [deployments[row] for row in rows.tolist()]
        # Levels of effort of one deployment have one weight between them.
        weights[rows] = np.array(_weights(its)) / _candidates_of_each(its)
        uneven = uneven or not _even(weights[rows])
    drained = np.array([d.weight == 0.0 for d in deployments])
    standing = None if drained.all() or not drained.any() else ~drained
    return Shares(weights, groups, standing) if uneven or standing is not None else None


def for_key(shares: Shares | None, deployments: Sequence[Deployment], weights: Mapping[str, float]) -> Shares:
    """The same where a key or team has `weights` of its own, above 0, by deployment id."""
    own = np.ones(len(deployments)) if shares is None else shares.weights.copy()
    standing = None if shares is None or shares.standing is None else shares.standing.copy()
    candidates = _candidates_of_each(deployments)
    for row, deployment in enumerate(deployments):
        weight = weights.get(deployment.id)
        if weight is not None:
            own[row] = weight / candidates[row]
            if standing is not None:
                standing[row] = True
    groups = _numbered(deployments) if shares is None else shares.groups
    return Shares(own, groups, standing, by_lot=True)


def choose(
    best: int,
    shares: Shares,
    credit: FloatArray,
    alike: BoolArray,
    e2e_s: FloatArray,
    random: Random,
) -> int | None:
    """Who gets a request for which `best` has the best score, among those that are `alike` (N,) to it.

    `alike` holds `best`, and whoever is allowed and answers as well for as much; `e2e_s` (N,) is what each
    would take; `credit` (N,) is changed in place. None where shares say nothing: one is alone, or all weigh
    the same.
    """
    (rows,) = (alike & (shares.groups == shares.groups[best]) & (shares.weights > 0.0)).nonzero()
    weights = shares.weights[rows]
    if rows.size < 2 or _even(weights):
        # Whose turn it is among those with equal weights, load says better; and it has said `best`.
        return None
    times = e2e_s[rows]
    in_time = times <= SLOWER * times[times.argmin()]
    rows, weights = rows[in_time], weights[in_time]
    if _even(weights):
        return best if best in rows else rows.item(e2e_s[rows].argmin())
    if shares.by_lot:
        drawn: int = random.choices(rows.tolist(), weights.tolist())[0]
        return drawn
    earned = credit[rows] + weights / weights.sum()
    chosen = int(earned.argmax())
    earned[chosen] -= 1.0
    credit[rows] = earned
    row: int = rows.item(chosen)
    return row


def _candidates_of_each(deployments: Sequence[Deployment]) -> FloatArray:
    """(N,) how many levels of effort each one's deployment has here, 1 for a deployment without."""
    levels = Counter(d.id for d in deployments if d.effort)
    return np.array([levels[d.id] if d.effort else 1.0 for d in deployments])


def _even(weights: FloatArray) -> bool:
    return weights.item(weights.argmin()) == weights.item(weights.argmax())


def _weights(group: Sequence[Deployment]) -> list[float]:
    if any(d.weight is not None for d in group):
        return [UNSTATED if d.weight is None else d.weight for d in group]
    for limits in ([d.rpm for d in group], [d.tpm for d in group]):
        known = [limit for limit in limits if limit is not None]
        if known:
            return [max(known) if limit is None else limit for limit in limits]
    return [UNSTATED] * len(group)


def _numbered(deployments: Sequence[Deployment]) -> IntArray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(d.group, len(numbers)) for d in deployments], dtype=np.int64)
