"""The joint decision put together: predictions, instance state and latency model in, assignments out.

The LiteLLM adapter and the simulator both run this class; it knows nothing of either, and the
caller passes in the time.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from rb_litellm.core.affinity import AffinityRule, Held
from rb_litellm.core.assign import Fleet, assign
from rb_litellm.core.batch import Bid, Prices
from rb_litellm.core.breakdown import Decision, Refusal
from rb_litellm.core.exploration import ExplorationRule
from rb_litellm.core.filters import Limits
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency import LatencyForecast, forecast
from rb_litellm.core.latency_learning import LatencyLearner
from rb_litellm.core.prefix_memory import PrefixMemory
from rb_litellm.core.residuals import FleetOdds, Residuals
from rb_litellm.core.sampling import Crowd
from rb_litellm.core.scoring import BALANCED, Objective
from rb_litellm.core.streams import Stream
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState, IntArray, Outcome, Prompt
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.state.reckoning import Reckoner

MAX_LOOKED = 512
"""Open streams that are looked at in one step; the others in the next."""
MAX_SLATES = 256
"""Sets of candidates whose arrays are kept; the least recently used is made anew."""


@dataclass(slots=True)
class Ask:
    """One request to be placed."""

    prompt: Prompt
    candidates: tuple[Deployment, ...]
    objective: Objective = BALANCED
    limits: Limits | None = None
    affinity: AffinityRule | None = None
    """How much a probably cached prefix counts for; None for nothing."""
    exploration: ExplorationRule | None = None
    """How it may be sent where little is known; None for never."""


@dataclass(slots=True)
class Assignment:
    """A request's place: the deployment, and how it was chosen."""

    deployment: Deployment
    decision: Decision
    deployments: tuple[Deployment, ...]
    """The N deployments that the arrays of `decision.ballot` speak of."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """N deployments at one moment; every array has shape (N,)."""

    deployments: tuple[Deployment, ...]
    state: InstanceState
    """Load of all workers."""
    times: LatencyForecast
    """Of a request of the size that was asked for; without tokens: wait, TTFT of an empty prompt, TPOT."""
    slowdown: FloatArray
    """How many times slower than predicted each shows itself; at least 1."""


@dataclass(frozen=True, slots=True)
class _Slate:
    """Arrays of one set of N candidates of M models, in the set's order."""

    deployments: tuple[Deployment, ...]
    rows: IntArray
    state_rows: IntArray
    tier_rows: IntArray
    """(N,) rows of the candidates' tiers in the residuals."""
    groups: tuple[str, ...]
    """(N,) model groups."""
    models: tuple[ModelInfo, ...]
    model_of: IntArray
    """(N,) column of each candidate's model."""
    writes: FloatArray
    """(N,) 1 for models that write tokens, 0 for embeddings."""
    prices: Prices
    odds: FleetOdds
    everyone: BoolArray
    """(N,) all of them; shared by all requests that may use all, so it cannot be written to."""


class Balancer:
    """Places requests on deployments and learns from what became of them. Not thread-safe."""

    def __init__(
        self,
        reckoner: Reckoner,
        learner: LatencyLearner,
        random: Random,
        memory: PrefixMemory | None = None,
    ) -> None:
        self._reckoner = reckoner
        self._learner = learner
        self.residuals = Residuals()
        """Measured against predicted latency of each tier, for P(latency <= limit)."""
        self._random = random
        self._rows: dict[str, int] = {}
        self._last_chosen: FloatArray = np.zeros(0)
        self._slates: OrderedDict[tuple[Deployment, ...], _Slate] = OrderedDict()
        self.memory = memory or PrefixMemory()
        """What deployments have probably cached."""

    def decide(
        self, asks: Sequence[Ask], predictions: PredictionSource, now: float
    ) -> list[Assignment | Refusal]:
        """Place a batch of requests, each seeing the load of those placed before it.

        Only a request with limits is ever refused. The caller records the assignments as open
        attempts; `now` is on its monotonic clock, in s.

        Raises:
            ValueError: a request has no candidate.
        """
        slate, fleet, bids = self._setting(asks, predictions, now)
        # Here alone: a preview tells what is best, and chance has no part in it.
        if (workers := self._reckoner.workers) > 1:
            fleet.crowd = Crowd(workers, slate.tier_rows)
        decisions = assign(bids, fleet, now, self._random)
        self._last_chosen[slate.rows] = fleet.last_chosen_s
        for ask, bid, decision in zip(asks, bids, decisions, strict=True):
            if bid.held is not None and isinstance(decision, Decision):
                row, group = int(slate.state_rows[decision.index]), slate.groups[decision.index]
                self.memory.sent(bid.held, ask.prompt, row, group, now)
        return [_assignment(decision, slate.deployments) for decision in decisions]

    def preview(
        self, ask: Ask, predictions: PredictionSource, now: float
    ) -> tuple[Assignment | Refusal, tuple[Deployment, ...]]:
        """What `decide` would say of a lone request, and the deployments of its ballot; changes nothing."""
        slate, fleet, bids = self._setting([replace(ask, exploration=None)], predictions, now)
        (decision,) = assign(bids, fleet, now, Random(0))
        return _assignment(decision, slate.deployments), slate.deployments

    def witness(
        self, ask: Ask, chosen: Deployment, predictions: PredictionSource, now: float
    ) -> tuple[Assignment, Assignment | Refusal]:
        """A choice that somebody else has made, and what `decide` would have said instead.

        The first is that choice with all that was predicted of it, for the caller to record as open.

        Raises:
            ValueError: `chosen` is no candidate.
        """
        slate, fleet, bids = self._setting([replace(ask, exploration=None)], predictions, now)
        row = slate.deployments.index(chosen)
        in_flight = float(fleet.state.in_flight[row])
        pending_prefill = float(fleet.state.pending_prefill_tokens[row])
        (decision,) = assign(bids, fleet, now, Random(0))
        self._last_chosen[slate.rows[row]] = now
        ballot = decision.ballot
        theirs = Decision(
            index=row,
            score=float(ballot.scores[row]),
            prediction=ballot.prediction(row),
            candidates=len(slate.deployments),
            in_flight=in_flight,
            pending_prefill_tokens=pending_prefill,
            prefill_tokens=float(ask.prompt.input_tokens),
            ballot=ballot,
        )
        return Assignment(chosen, theirs, slate.deployments), _assignment(decision, slate.deployments)

    def _setting(
        self, asks: Sequence[Ask], predictions: PredictionSource, now: float
    ) -> tuple[_Slate, Fleet, list[Bid]]:
        slate, masks = self._common_slate(asks)
        state = self._reckoner.state(now).take(slate.state_rows)
        slowdown = self._reckoner.slowdown(now)[slate.state_rows]
        predicted = predictions.predict([ask.prompt for ask in asks], slate.models)
        quality = predicted.quality[:, slate.model_of]
        output_tokens = predicted.output_tokens[:, slate.model_of] * slate.writes
        fleet = Fleet(
            coefficients=self._learner.coefficients.take(slate.rows),
            state=state,
            prices=slate.prices,
            last_chosen_s=self._last_chosen[slate.rows],
            slowdown=slowdown if float(slowdown[slowdown.argmax()]) > 1.0 else None,
            measured=self._learner.measured[slate.rows] if any(ask.exploration for ask in asks) else None,
            odds=slate.odds,
        )
        bids = [
            Bid(
                ask.prompt.input_tokens,
                quality[r],
                output_tokens[r],
                masks[r],
                ask.objective,
                ask.limits,
                self._held(ask, slate, now),
                ask.exploration,
            )
            for r, ask in enumerate(asks)
        ]
        return slate, fleet, bids

    def first_token(self, outcome: Outcome) -> None:
        """Let the latency model see the first token of an attempt that is still open."""
        row = self._rows.get(outcome.deployment)
        if row is not None:
            self._learner.first_token(row, outcome)

    def look(self, streams: Iterable[Stream], now: float) -> None:
        """Let the latency model see how far open streams have come; in even steps of about a second."""
        ids = list(self._rows)
        watched: dict[str, list[Stream]] = {ids[row]: [] for row in self._learner.contradicted}
        for stream in streams:
            if stream.deployment in self._rows:
                watched.setdefault(stream.deployment, []).append(stream)
        in_flight = self._reckoner.state(now).in_flight
        for deployment, its in watched.items():
            load = float(in_flight[self._reckoner.row(deployment)])
            tpot_s = self._learner.look(self._rows[deployment], load, its, now)
            if tpot_s is not None:
                self._reckoner.slower(deployment, tpot_s)

    def outlook(
        self,
        deployments: Sequence[Deployment],
        now: float,
        input_tokens: float = 0.0,
        output_tokens: float = 0.0,
    ) -> Outlook:
        """How a request of this size would fare on each of N deployments now: for those who look on."""
        slate = self._slate(tuple(deployments))
        state = self._reckoner.state(now).take(slate.state_rows)
        slowdown = self._reckoner.slowdown(now)[slate.state_rows]
        coefficients = self._learner.coefficients.take(slate.rows)
        times = forecast(coefficients, state, input_tokens, output_tokens * slate.writes, slowdown)
        return Outlook(slate.deployments, state, times, slowdown)

    def learn(self, outcome: Outcome) -> None:
        """Let the latency model see a closed attempt; unknown deployments are passed over."""
        row = self._rows.get(outcome.deployment)
        if row is not None:
            self.residuals.learn(self._learner.tier_row(row), outcome)
            self._learner.observe(row, outcome)

    def _held(self, ask: Ask, slate: _Slate, now: float) -> Held | None:
        if ask.affinity is None:
            return None
        rows, tiers = slate.state_rows, slate.tier_rows
        return self.memory.held(ask.prompt, ask.affinity, rows, tiers, slate.groups, now)

    def _common_slate(self, asks: Sequence[Ask]) -> tuple[_Slate, Sequence[BoolArray]]:
        first = asks[0].candidates
        if all(ask.candidates == first for ask in asks[1:]):
            slate = self._slate(first)
            return slate, [slate.everyone] * len(asks)
        union = tuple(dict.fromkeys(d for ask in asks for d in ask.candidates))
        position = {deployment: i for i, deployment in enumerate(union)}
        masks = np.zeros((len(asks), len(union)), dtype=np.bool_)
        for r, ask in enumerate(asks):
            masks[r, [position[d] for d in ask.candidates]] = True
        return self._slate(union), list(masks)

    def _slate(self, deployments: tuple[Deployment, ...]) -> _Slate:
        slate = self._slates.get(deployments)
        if slate is None:
            slate = self._slates[deployments] = self._make_slate(deployments)
            if len(self._slates) > MAX_SLATES:
                self._slates.popitem(last=False)
        else:
            self._slates.move_to_end(deployments)
        return slate

    def _make_slate(self, deployments: tuple[Deployment, ...]) -> _Slate:
        # One group may hold several models, and one model may be described in several ways.
        columns: dict[ModelInfo, int] = {}
        model_of = [columns.setdefault(model_info(d), len(columns)) for d in deployments]
        input_usd = np.array([d.input_usd_per_token for d in deployments])
        output_usd = np.array([d.output_usd_per_token for d in deployments])
        rows = [self._row(d) for d in deployments]
        tier_rows = np.array([self._learner.tier_row(row) for row in rows], dtype=np.int64)
        everyone = np.ones(len(deployments), dtype=np.bool_)
        everyone.setflags(write=False)
        price_known = ~(np.isnan(input_usd) | np.isnan(output_usd))
        return _Slate(
            deployments=deployments,
            rows=np.array(rows, dtype=np.int64),
            tier_rows=tier_rows,
            state_rows=np.array([self._reckoner.row(d.id) for d in deployments], dtype=np.int64),
            groups=tuple(d.group for d in deployments),
            models=tuple(columns),
            model_of=np.array(model_of, dtype=np.int64),
            writes=np.array([1.0 if d.generates else 0.0 for d in deployments]),
            prices=Prices(
                _with_median(input_usd),
                _with_median(output_usd),
                None if price_known.all() else price_known,
            ),
            odds=FleetOdds.of(self.residuals, tier_rows),
            everyone=everyone,
        )

    def _row(self, deployment: Deployment) -> int:
        row = self._rows.get(deployment.id)
        if row is None:
            row = self._rows[deployment.id] = self._learner.add(deployment.tier, deployment.prior)
            self._last_chosen = np.append(self._last_chosen, -np.inf)
        return row


def _assignment(decision: Decision | Refusal, deployments: tuple[Deployment, ...]) -> Assignment | Refusal:
    if isinstance(decision, Refusal):
        return decision
    return Assignment(deployments[decision.index], decision, deployments)


def model_info(deployment: Deployment) -> ModelInfo:
    """What a predictor is told of the deployment's model."""
    prices = [
        p for p in (deployment.input_usd_per_token, deployment.output_usd_per_token) if not math.isnan(p)
    ]
    return ModelInfo(
        key=deployment.group,
        model=deployment.model,
        quality=deployment.quality,
        output_tokens=deployment.output_tokens,
        usd_per_million_tokens=sum(prices) / len(prices) * 1e6 if prices else None,
        context_window=deployment.context_window,
    )


def _with_median(prices: FloatArray) -> FloatArray:
    """Prices (N,) with the unknown ones at the median of the known; zero where none is known."""
    unknown = np.isnan(prices)
    if not unknown.any():
        return prices
    return np.where(unknown, 0.0 if unknown.all() else np.nanmedian(prices), prices)
