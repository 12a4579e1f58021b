"""The joint decision put together: predictions, instance state and the latency model in, assignments out.

The LiteLLM adapter and the simulator both run this class. It knows neither, and the caller passes the time.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from rb_litellm.balancing import passed_over
from rb_litellm.balancing.beliefs import Beliefs
from rb_litellm.balancing.candidates import CandidateSet, CandidateSets
from rb_litellm.balancing.capacity_use import CapacityUse
from rb_litellm.balancing.horizons import Horizons
from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.decision.assign import assign
from rb_litellm.core.decision.batch import BatchRequest, Fleet, Prices
from rb_litellm.core.decision.breakdown import Decision, Refusal
from rb_litellm.core.decision.exploring.exploration import RECOVERY, ExplorationRule
from rb_litellm.core.decision.exploring.trials import FleetTrials
from rb_litellm.core.decision.sampling import MIN_SAMPLE, CandidateSampling
from rb_litellm.core.decision.scoring import BALANCED, Objective
from rb_litellm.core.decision.shares import Shares, for_key
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyCoefficients, LatencyForecast, forecast
from rb_litellm.core.latency.learning.evidence import Failure
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.moment import steps_left
from rb_litellm.core.limits.availability import RETRIES
from rb_litellm.core.limits.capacity import Usage
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.servers.affinity import AffinityRule, CachedPrefix
from rb_litellm.core.servers.prefix_memory import PrefixMemory
from rb_litellm.core.types import (
    FloatArray,
    InstanceState,
    Level,
    ModelPredictions,
    Prompt,
)
from rb_litellm.predictors.ability_learning import Gradable
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.reckoning import Reckoner


@dataclass(slots=True)
class RoutingRequest:
    """One request to be placed."""

    prompt: Prompt
    candidates: tuple[Deployment, ...]
    objective: Objective = BALANCED
    limits: Limits | None = None
    affinity: AffinityRule | None = None
    """How much a cached prefix may count for; None for nothing."""
    exploration: ExplorationRule | None = RECOVERY
    """How it may be sent where little was measured, or nothing lately; None for never."""
    weights: Mapping[str, float] | None = None
    """A key's or team's weights by deployment id, above 0, which go before those of the deployments."""
    thread: str = ""
    """Name of the agent's loop that it goes on with; empty for none. Counts where affinity is given."""
    retries: int = RETRIES
    """How often it will be sent again if it fails."""
    proxy_s: float = 0.0
    """Seconds of its time that pass in the proxy; its limits count them."""
    cascade: CascadeRule | None = None
    """How it may be answered a second time; None for never."""
    best_of: BestOfRule | None = None
    """How it may be answered several times at once; None for never."""


@dataclass(slots=True)
class Assignment:
    """The deployment of a request, and how it was chosen."""

    deployment: Deployment
    decision: Decision
    deployments: tuple[Deployment, ...]
    """The N deployments of the arrays in `decision.breakdown`."""
    gradable: Gradable | None = None
    """What a user's grade of the answer will be compared with; None where nothing learns from it."""
    level: Level | None = None
    """What the length of its level of effort, or of an agent's loop, is learned from; None for neither."""
    sent_to: int | None = None
    """Row of the beliefs that its outcome will teach."""


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """N deployments at one moment; every array has shape (N,)."""

    deployments: tuple[Deployment, ...]
    state: InstanceState
    """Load of all workers."""
    times: LatencyForecast
    """For a request of the given size; with no tokens: wait, TTFT of an empty prompt, TPOT."""
    slowdown: FloatArray
    """How many times slower than predicted each is, by its open attempts; at least 1."""
    slots: FloatArray
    """Requests that each runs at once, as learned so far; inf for a hosted API."""
    failing: FloatArray
    """(4, N) chance that an attempt fails, by kind in the order of `Failure`."""
    windows: FloatArray
    """Tokens of prompt and answer together, as their servers state them; inf where they state nothing."""

    def failing_of(self, row: int) -> dict[str, float]:
        """Chance that an attempt on one of them fails, by the name of the kind."""
        return {kind.value: float(chance) for kind, chance in zip(Failure, self.failing[:, row], strict=True)}


class Balancer:
    """Assigns requests to deployments and learns from the outcomes. Not thread-safe."""

    def __init__(
        self,
        reckoner: Reckoner,
        learner: LatencyLearner,
        random: Random,
        memory: PrefixMemory | None = None,
        usage: Usage | None = None,
    ) -> None:
        self._reckoner = reckoner
        self.beliefs = Beliefs(reckoner, learner)
        self._random = random
        self._last_chosen: FloatArray = np.zeros(0)
        self._candidate_sets = CandidateSets(reckoner, self.beliefs)
        self.memory = memory or PrefixMemory()
        """An estimate of what deployments have cached."""
        self._horizons = Horizons(self.memory.threads, self.beliefs)
        self.capacity_use = CapacityUse(reckoner, usage or Usage())
        self._credit: FloatArray = np.zeros(0)

    def decide(
        self, requests: Sequence[RoutingRequest], predictions: PredictionSource, now: float
    ) -> list[Assignment | Refusal]:
        """Assign a batch of requests, each with the load of those placed before it.

        Only a request with limits may be refused. The caller records the assignments as open attempts. `now`
        is on its monotonic clock, in s.

        Raises:
            ValueError: a request has no candidate.
        """
        candidate_set, fleet, batch_requests, predicted = self._setting(requests, predictions, now)
        fleet.trials = FleetTrials(
            self.beliefs.trials, self.beliefs.learner, candidate_set.rows, candidate_set.pace_rows
        )
        # Here alone: a preview shows the best choice, without chance or trials.
        if (workers := self._reckoner.workers) > 1 and candidate_set.largest_tier > MIN_SAMPLE:
            fleet.sampling = CandidateSampling(workers, candidate_set.tier_rows)
        decisions = assign(batch_requests, fleet, now, self._random)
        self._last_chosen[candidate_set.rows] = fleet.last_chosen_s
        for decision in decisions:
            if isinstance(decision, Decision):
                self.beliefs.sent(candidate_set.rows.item(decision.index), now, decision.explored)
        if fleet.credit is not None:
            self._keep_credit(candidate_set, fleet.credit)
        self.capacity_use.sent([request.prompt for request in requests], candidate_set, decisions, now)
        for request, batch_request, decision in zip(requests, batch_requests, decisions, strict=True):
            if batch_request.cached_prefix is not None and isinstance(decision, Decision):
                row = candidate_set.state_rows.item(decision.index)
                group = candidate_set.groups[decision.index]
                self.memory.sent(batch_request.cached_prefix, request.prompt, row, group, now)
                if (horizon := batch_request.horizon) is not None:
                    self._horizons.sent(horizon, candidate_set, decision, now, self._reckoner.workers)
        placed = [
            _assignment(decision, candidate_set, candidate_set.gradable(predicted, r, decision))
            for r, decision in enumerate(decisions)
        ]
        for r, (request, assignment) in enumerate(zip(requests, placed, strict=True)):
            if isinstance(assignment, Assignment) and (candidate_set.level_names or request.thread):
                assignment.level = candidate_set.level(
                    predicted, r, assignment.decision, loop=request.thread != ""
                )
        return placed

    def preview(
        self, request: RoutingRequest, predictions: PredictionSource, now: float
    ) -> tuple[Assignment | Refusal, tuple[Deployment, ...], dict[int, str]]:
        """What `decide` would answer for this request alone, its N deployments, and why rows of these are
        passed over; changes nothing."""
        candidate_set, fleet, batch_requests, _ = self._setting(
            [replace(request, exploration=None)], predictions, now
        )
        (decision,) = assign(batch_requests, fleet, now, Random(0))
        taken = passed_over.why(batch_requests[0].allowed, request.prompt, candidate_set, self.beliefs)
        return _assignment(decision, candidate_set), candidate_set.deployments, taken

    def record_shadow(
        self, request: RoutingRequest, chosen: Deployment, predictions: PredictionSource, now: float
    ) -> tuple[Assignment, Assignment | Refusal]:
        """The choice of another strategy, and what `decide` would have answered instead (shadow mode).

        The first is that choice with its predictions, for the caller to record as open.

        Raises:
            ValueError: `chosen` is no candidate.
        """
        candidate_set, fleet, batch_requests, predicted = self._setting(
            [replace(request, exploration=None)], predictions, now
        )
        row = candidate_set.deployments.index(chosen)
        in_flight = float(fleet.state.in_flight[row])
        pending_prefill = float(fleet.state.pending_prefill_tokens[row])
        (decision,) = assign(batch_requests, fleet, now, Random(0))
        self._last_chosen[candidate_set.rows[row]] = now
        breakdown = decision.breakdown
        theirs = Decision(
            index=row,
            score=float(breakdown.scores[row]),
            prediction=breakdown.prediction(row),
            candidates=len(candidate_set.deployments),
            in_flight=in_flight,
            pending_prefill_tokens=pending_prefill,
            prefill_tokens=float(request.prompt.input_tokens),
            compute_breakdown=lambda: breakdown,
        )
        self.capacity_use.sent([request.prompt], candidate_set, [theirs], now)
        told = candidate_set.gradable(predicted, 0, theirs)
        sent_to = candidate_set.rows.item(row)
        return Assignment(chosen, theirs, candidate_set.deployments, told, sent_to=sent_to), _assignment(
            decision, candidate_set
        )

    def _setting(
        self, requests: Sequence[RoutingRequest], predictions: PredictionSource, now: float
    ) -> tuple[CandidateSet, Fleet, list[BatchRequest], ModelPredictions]:
        self.beliefs.age(now)
        candidate_set, masks = self._candidate_sets.common([request.candidates for request in requests])
        self.beliefs.met(candidate_set.deployments, candidate_set.rows)
        self._reach(len(self.beliefs))
        everywhere = self._reckoner.state(now)
        in_loops = [request.thread != "" for request in requests]
        if any(in_loops):
            self._horizons.see(everywhere, now)
        state = everywhere.take(candidate_set.state_rows)
        slowdown = self._slowdown(candidate_set, now)
        predicted = predictions.predict([request.prompt for request in requests], candidate_set.models)
        quality = predicted.quality.take(candidate_set.model_of, axis=1)
        output_tokens = predicted.output_tokens.take(candidate_set.model_of, axis=1) * candidate_set.writes
        names = candidate_set.level_names
        if names is not None or any(in_loops):
            output_tokens = self.beliefs.level_lengths.corrected(
                output_tokens,
                names or candidate_set.loop_names,
                [request.prompt.max_tokens for request in requests],
                np.array([names is not None or its for its in in_loops]),
            )
        fleet = Fleet(
            coefficients=self._coefficients(candidate_set, state, slowdown, now),
            state=state,
            prices=self._prices(candidate_set, now),
            last_chosen_s=self._last_chosen.take(candidate_set.rows),
            slowdown=slowdown,
            measured=self.beliefs.learner.measured[candidate_set.pace_rows]
            if any(r.exploration is not None and r.exploration.method != "recovery" for r in requests)
            else None,
            latency_errors=candidate_set.latency_errors,
            servers=candidate_set.servers,
            twins=candidate_set.twins,
            room=self.capacity_use.room(
                candidate_set, [request.prompt.input_tokens for request in requests], output_tokens, now
            ),
            levels=candidate_set.levels,
            models=candidate_set.model_of,
            takes_n=candidate_set.willing([r.best_of for r in requests]),
        )
        masks = passed_over.left_of(
            masks,
            [request.prompt for request in requests],
            [request.exploration is not None and request.limits is None for request in requests],
            candidate_set,
            self.beliefs,
            now,
        )
        shares = [_shares(request, candidate_set) for request in requests]
        if any(its is not None for its in shares):
            fleet.credit = self._credit[candidate_set.rows]
        batch_requests = [
            BatchRequest(
                request.prompt.input_tokens,
                quality[r],
                output_tokens[r],
                masks[r] if (its := shares[r]) is None else its.narrowed(masks[r]),
                request.objective,
                request.limits,
                self._cached_prefix(request, candidate_set, now),
                request.exploration,
                shares[r],
                request.retries,
                request.proxy_s,
                request.cascade,
                request.best_of,
                self._horizons.of(request.thread, request.prompt, candidate_set, request.affinity, now),
            )
            for r, request in enumerate(requests)
        ]
        return candidate_set, fleet, batch_requests, predicted

    def _slowdown(self, candidate_set: CandidateSet, now: float) -> FloatArray | None:
        """(N,) by how much the times of candidates count for more; None where nobody is slower than usual."""
        late = self._reckoner.slowdown(now)
        slowdown = self.beliefs.slowdown(candidate_set.rows, now)
        if late is not None:
            of_these = late.take(candidate_set.state_rows)
            slowdown = of_these if slowdown is None else of_these * slowdown
        return None if slowdown is None or slowdown.item(slowdown.argmax()) <= 1.0 else slowdown

    def _prices(self, candidate_set: CandidateSet, now: float) -> Prices:
        prices = candidate_set.prices
        failing = self.beliefs.failures(candidate_set.rows, now)
        share = None
        if prices.written_usd is not None:
            share = self.beliefs.cache_writes.share(candidate_set.pace_rows)
        if failing is None and share is None:
            return prices
        return replace(prices, written_share=share, failing=failing)

    def _keep_credit(self, candidate_set: CandidateSet, credit: FloatArray) -> None:
        rows = candidate_set.rows
        if candidate_set.levels is None:
            self._credit[rows] = credit
        else:
            # A deployment's levels have earned and paid apart, and have one credit.
            np.add.at(self._credit, rows, credit - self._credit[rows])

    def forget(self, living: Container[str], state_rows: Collection[int] = ()) -> None:
        """Deployments other than these are gone, with nothing open there: forget what is kept of them.

        `state_rows` are the rows of the reckoner's index that they had.
        """
        if state_rows:
            self.memory.index.forget(state_rows)
            self.memory.threads.forget(state_rows)
        rows = [row for row in self.beliefs.forget(living) if row < len(self._credit)]
        self._last_chosen[rows], self._credit[rows] = -np.inf, 0.0
        self._candidate_sets.forget(living)

    def _reach(self, rows: int) -> None:
        missing = rows - len(self._credit)
        if missing > 0:
            self._last_chosen = np.append(self._last_chosen, np.full(missing, -np.inf))
            self._credit = np.append(self._credit, np.zeros(missing))

    def _coefficients(
        self, candidate_set: CandidateSet, state: InstanceState, slowdown: FloatArray | None, now: float
    ) -> LatencyCoefficients:
        its = self.beliefs.learner.coefficients.take(candidate_set.pace_rows)
        since_s = self._reckoner.since_chunk_s(candidate_set.state_rows, now)
        if since_s is not None:
            step_s = its.step_s(state.in_flight)
            its.join_steps = steps_left(
                its.join_steps, step_s if slowdown is None else step_s * slowdown, since_s
            )
        return its

    def snapshot(
        self,
        deployments: Sequence[Deployment],
        now: float,
        input_tokens: float = 0.0,
        output_tokens: float = 0.0,
    ) -> ClusterSnapshot:
        """The latency of a request of this size on each of N deployments now, to show to people."""
        candidate_set = self._candidate_sets.of(tuple(deployments))
        state = self._reckoner.state(now).take(candidate_set.state_rows)
        slowdown = self._slowdown(candidate_set, now)
        coefficients = self.beliefs.learner.coefficients.take(candidate_set.pace_rows)
        times = forecast(coefficients, state, input_tokens, output_tokens * candidate_set.writes, slowdown)
        return ClusterSnapshot(
            candidate_set.deployments,
            state,
            times,
            np.ones(len(state.in_flight)) if slowdown is None else slowdown,
            coefficients.slots,
            self.beliefs.chances_to_fail(candidate_set.rows, now),
            self.beliefs.windows.of(candidate_set.rows),
        )

    def _cached_prefix(
        self, request: RoutingRequest, candidate_set: CandidateSet, now: float
    ) -> CachedPrefix | None:
        if request.affinity is None:
            return None
        rows, tiers = candidate_set.state_rows, candidate_set.tier_rows
        found = self.memory.match(
            request.prompt, request.affinity, rows, tiers, candidate_set.groups, now, request.thread
        )
        if found.seen_s is not None and np.count_nonzero(found.cached_tokens):
            kept = self.beliefs.keeping.share(candidate_set.pace_rows, found.seen_s)
            found.cached_tokens = found.cached_tokens * kept
        return found


def _assignment(
    decision: Decision | Refusal, candidate_set: CandidateSet, told: Gradable | None = None
) -> Assignment | Refusal:
    if isinstance(decision, Refusal):
        return decision
    its, deployments = decision.index, candidate_set.deployments
    return Assignment(deployments[its], decision, deployments, told, sent_to=candidate_set.rows.item(its))


def _shares(request: RoutingRequest, candidate_set: CandidateSet) -> Shares | None:
    if request.weights is None:
        return candidate_set.shares
    return for_key(candidate_set.shares, candidate_set.deployments, request.weights)
