"""The requests of a batch, and the part of their scores that load does not change.

Quality, cost and what a budget pays for stay the same whatever was placed before. They are computed once for
the whole batch: where candidates are few, numpy's calls cost more than its arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.decision.breakdown import ScoreTerm, all_of
from rb_litellm.core.decision.exploring.exploration import ExplorationRule
from rb_litellm.core.decision.exploring.trials import FleetTrials
from rb_litellm.core.decision.horizon import Horizon
from rb_litellm.core.decision.sampling import CandidateSampling
from rb_litellm.core.decision.scoring import BALANCED, Objective
from rb_litellm.core.decision.shares import Shares
from rb_litellm.core.latency.forecast import LatencyCoefficients
from rb_litellm.core.limits.availability import RETRIES, Failing
from rb_litellm.core.limits.budget import Payable, payable
from rb_litellm.core.limits.capacity import Room
from rb_litellm.core.limits.filters import Limits, static_limits_met
from rb_litellm.core.limits.slo import LatencyErrors
from rb_litellm.core.servers.affinity import CachedPrefix
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState, IntArray

_UNLIMITED = Limits()
_Scalar = TypeVar("_Scalar", np.float64, np.bool_)


@dataclass(slots=True)
class BatchRequest:
    """One request of a batch with what is predicted for it on each of N deployments."""

    input_tokens: float
    quality: FloatArray
    """(N,) in [0, 1]."""
    output_tokens: FloatArray
    """(N,) expected tokens."""
    allowed: BoolArray
    """(N,) deployments that may serve it; at least one."""
    objective: Objective = BALANCED
    limits: Limits | None = None
    """Service levels, budget and admission; None for none, which takes no time."""
    cached_prefix: CachedPrefix | None = None
    """What is probably cached of its prompt, where affinity is on."""
    exploration: ExplorationRule | None = None
    """How often it may go where little was measured; None for never."""
    shares: Shares | None = None
    """What alike deployments are to get of such requests; None where nobody says so."""
    retries: int = RETRIES
    """How often it will be sent again if it fails."""
    proxy_s: float = 0.0
    """Seconds of its time that pass in the proxy; its limits count them."""
    cascade: CascadeRule | None = None
    """How it may be answered a second time; None for never."""
    best_of: BestOfRule | None = None
    """How it may be answered several times at once; None for never."""
    horizon: Horizon | None = None
    """The calls that come after it, of an agent's loop; it counts where `cached_prefix` is given."""


@dataclass(slots=True)
class Prices:
    """USD per token of N deployments; every array has shape (N,)."""

    input_usd: FloatArray
    output_usd: FloatArray
    known: BoolArray | None = None
    """False where the prices above are guesses; a request with a budget does not go there."""
    cached_usd: FloatArray | None = None
    """Of an input token that is cached; None where all cost as much as any other."""
    written_usd: FloatArray | None = None
    """Of an input token that is written into the cache; None where all cost as much as any other."""
    written_share: FloatArray | None = None
    """Of the input tokens that are not cached, how many are written; None where none are."""
    failing: Failing | None = None
    """What attempts that fail cost; None where nobody fails."""

    def discount(self, request: BatchRequest) -> FloatArray | None:
        """(N,) USD by which a request is cheaper for what is cached of it, less what the writing of the rest
        adds; None for nothing."""
        prefix = request.cached_prefix
        return None if prefix is None else self._discount(request.input_tokens, prefix.cached_tokens)

    def over_horizon(
        self, request: BatchRequest, cost_usd: FloatArray, uncached_usd: FloatArray
    ) -> FloatArray:
        """(N,) what a call of the request's loop costs on average: this one `cost_usd`, and those to come.

        `uncached_usd` (N,) is what this one would cost if nothing of it were cached.
        """
        horizon = request.horizon
        if horizon is None:
            return cost_usd
        then = uncached_usd
        if (discount := self._discount(request.input_tokens, horizon.cached_tokens)) is not None:
            then = then - discount
        return horizon.mean(cost_usd, then)

    def _discount(self, input_tokens: float, cached_tokens: FloatArray) -> FloatArray | None:
        cached = np.minimum(cached_tokens, input_tokens)
        saved = None if self.cached_usd is None else cached * (self.input_usd - self.cached_usd)
        if self.written_usd is None or self.written_share is None:
            return saved
        written = self.written_share * (input_tokens - cached)
        added: FloatArray = written * (self.written_usd - self.input_usd)
        return -added if saved is None else saved - added

    @property
    def most_input_usd(self) -> FloatArray:
        """(N,) USD that an input token costs at most."""
        if self.written_usd is None or self.written_share is None:
            return self.input_usd
        return np.where(
            self.written_share > 0.0, np.maximum(self.input_usd, self.written_usd), self.input_usd
        )


@dataclass(slots=True)
class Fleet:
    """The N deployments a batch is assigned to; every array has shape (N,)."""

    coefficients: LatencyCoefficients
    state: InstanceState
    """Changed in place: each assigned request is added before the next one is scored."""
    prices: Prices
    last_chosen_s: FloatArray
    """When each was last chosen, on the caller's clock; -inf for never."""
    slowdown: FloatArray | None = None
    measured: IntArray | None = None
    """Number of answers whose latency was measured; needed where a request explores."""
    latency_errors: LatencyErrors | None = None
    """Needed where a request has limits."""
    servers: IntArray | None = None
    """(N,) the server of each; None where no two are on one."""
    sampling: CandidateSampling | None = None
    """How many other workers send here, knowing the load only as it was; None for none."""
    trials: FleetTrials | None = None
    """What may be tried to learn of it; None for nothing."""
    twins: IntArray | None = None
    """Number of the tier of each hosted deployment, -1 for others; None where no two are of one tier."""
    room: Room | None = None
    """What has been taken of limited capacity, changed in place; None where nobody has limits."""
    credit: FloatArray | None = None
    """What each is owed of its share, changed in place; needed where a request has shares."""
    levels: IntArray | None = None
    """(N,) the deployment of each; None where no two are levels of effort of one deployment."""
    models: IntArray | None = None
    """(N,) number of each one's model; needed where a request may cascade, or be answered several times."""
    takes_n: BoolArray | None = None
    """(N,) who can be asked for several answers in one call; needed where a request may have that."""

    def together(self, row: int) -> list[int]:
        """The candidates whose load grows with that of this one: those on its server."""
        if self.servers is None:
            return [row]
        (rows,) = (self.servers == self.servers[row]).nonzero()
        found: list[int] = rows.tolist()
        return found

    def levels_of(self, row: int) -> int | BoolArray:
        """The candidates that are the same deployment as this one."""
        return row if self.levels is None else self.levels == self.levels[row]


@dataclass(slots=True)
class PrescoredRequest:
    """A request with the load-independent part of its scores; every array has shape (N,)."""

    request: BatchRequest
    cost_usd: FloatArray
    priced_usd: FloatArray
    """The cost, over the horizon of a loop, and what is paid for streams that break off before there is an
    answer."""
    quality: ScoreTerm
    cost: ScoreTerm
    points: FloatArray
    """Sum of these two terms."""
    payable: Payable | None = None
    """What its budget pays for, where it has one."""
    static_limits_met: bool = True
    """Whether every candidate meets all limits but those on time."""


class Prescored:
    """A batch of R requests with the load-independent part of their scores; every array has shape (R, N).

    What one of them needs apart is made when it is asked for, by its position.
    """

    __slots__ = (
        "_met",
        "_payable",
        "_terms",
        "allowed",
        "cost_usd",
        "output_tokens",
        "points",
        "priced_usd",
        "requests",
    )

    def __init__(self, requests: Sequence[BatchRequest], prices: Prices) -> None:
        self.requests = requests
        self.output_tokens = matrix([request.output_tokens for request in requests])
        self.allowed = matrix([request.allowed for request in requests])
        quality = matrix([request.quality for request in requests])
        self.cost_usd = self.output_tokens * prices.output_usd
        self.cost_usd += np.array([[request.input_tokens] for request in requests]) * prices.input_usd
        uncached_usd = self.cost_usd.copy()
        for row, request in enumerate(requests):
            if (discount := prices.discount(request)) is not None:
                self.cost_usd[row] -= discount
        self.priced_usd = self.cost_usd
        """The cost, over the horizon of a loop, and what is paid for streams that break off before there is
        an answer."""
        if any(request.horizon is not None for request in requests):
            rows = zip(requests, self.cost_usd, uncached_usd, strict=True)
            self.priced_usd = matrix([prices.over_horizon(*its) for its in rows])
        if (failing := prices.failing) is not None:
            lost = [failing.usd(its.input_tokens, prices.input_usd, prices.output_usd) for its in requests]
            self.priced_usd = self.priced_usd + matrix(lost)
        self._terms: list[tuple[ScoreTerm, ScoreTerm, int]] = []
        """By request, terms of quality and cost for all that have its objective, and its row in them."""
        self.points: FloatArray
        """Sum of these two terms."""
        self._set_terms(quality)
        self._payable: list[Payable | None] | None = None
        self._met: list[bool] | None = None
        if any(request.limits is not None for request in requests):
            self._check_static_limits(quality, prices)

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, row: int) -> PrescoredRequest:
        of_quality, of_cost = self.terms(row)
        return PrescoredRequest(
            self.requests[row],
            self.cost_usd[row],
            self.priced_usd[row],
            of_quality,
            of_cost,
            self.points[row],
            None if self._payable is None else self._payable[row],
            self._met is None or self._met[row],
        )

    def terms(self, row: int) -> tuple[ScoreTerm, ScoreTerm]:
        """Quality and cost of one request, (N,)."""
        quality, cost, at = self._terms[row]
        return (
            ScoreTerm(quality.name, quality.weight, quality.value[at]),
            ScoreTerm(cost.name, cost.weight, cost.value[at]),
        )

    def _set_terms(self, quality: FloatArray) -> None:
        requests = self.requests
        first = requests[0].objective
        if all(request.objective is first or request.objective == first for request in requests):
            of_quality, of_cost = first.static_terms(quality, self.priced_usd, self.allowed)
            self.points = of_quality.points + of_cost.points
            self._terms = [(of_quality, of_cost, at) for at in range(len(requests))]
            return
        alike: dict[Objective, list[int]] = {}
        for row, request in enumerate(requests):
            alike.setdefault(request.objective, []).append(row)
        self.points = np.empty_like(quality)
        found: dict[int, tuple[ScoreTerm, ScoreTerm, int]] = {}
        for objective, rows in alike.items():
            terms = objective.static_terms(quality[rows], self.priced_usd[rows], self.allowed[rows])
            self.points[rows] = terms[0].points + terms[1].points
            found.update({row: (*terms, at) for at, row in enumerate(rows)})
        self._terms = [found[row] for row in range(len(requests))]

    def _check_static_limits(self, quality: FloatArray, prices: Prices) -> None:
        """Check the limits that do not depend on load, by each request's worst quality and cost."""
        limits = [request.limits or _UNLIMITED for request in self.requests]
        self._payable = [None] * len(limits)
        budgets = {row: asked.budget for row, asked in enumerate(limits) if asked.budget is not None}
        if budgets:
            found = payable([*budgets.values()], prices.most_input_usd, prices.output_usd, prices.known)
            for row, pays in zip(budgets, found, strict=True):
                self._payable[row] = pays
        least_quality: list[float] = np.minimum.reduce(quality, axis=1).tolist()
        most_usd: list[float] = np.maximum.reduce(self.cost_usd, axis=1).tolist()
        figures = zip(limits, self._payable, least_quality, most_usd, strict=True)
        self._met = [static_limits_met(*its) for its in figures]


def prescore_one(request: BatchRequest, prices: Prices) -> PrescoredRequest:
    """The same for one request; as a batch of one it would take twice the time."""
    uncached_usd = request.input_tokens * prices.input_usd + request.output_tokens * prices.output_usd
    discount = prices.discount(request)
    cost_usd = uncached_usd if discount is None else uncached_usd - discount
    priced_usd = prices.over_horizon(request, cost_usd, uncached_usd)
    if prices.failing is not None:
        priced_usd = priced_usd + prices.failing.usd(
            request.input_tokens, prices.input_usd, prices.output_usd
        )
    quality, cost = request.objective.static_terms(request.quality, priced_usd, request.allowed)
    prescored = PrescoredRequest(request, cost_usd, priced_usd, quality, cost, quality.points + cost.points)
    if (limits := request.limits) is not None:
        if limits.budget is not None:
            budgets = [limits.budget]
            (prescored.payable,) = payable(budgets, prices.most_input_usd, prices.output_usd, prices.known)
        worst = request.quality.item(request.quality.argmin()), cost_usd.item(cost_usd.argmax())
        prescored.static_limits_met = static_limits_met(limits, prescored.payable, *worst)
    return prescored


def longest_first(requests: Sequence[BatchRequest]) -> list[int]:
    """Positions of the requests by falling expected output length, the mean over allowed candidates."""
    tokens, allowed = (
        matrix([request.output_tokens for request in requests]),
        matrix([request.allowed for request in requests]),
    )
    if not all_of(allowed):
        tokens = np.where(allowed, tokens, 0.0)
    lengths = np.add.reduce(tokens, axis=1) / np.add.reduce(allowed, axis=1)
    order: list[int] = (-lengths).argsort(kind="stable").tolist()
    return order


def matrix(rows: Sequence[NDArray[_Scalar]]) -> NDArray[_Scalar]:
    """(R, N) from R rows; `np.array` takes several times as long."""
    return np.concatenate(rows).reshape(len(rows), -1)
