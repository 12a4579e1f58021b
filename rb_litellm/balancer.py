"""The joint decision put together: predictions, instance state and the latency model in, assignments out.

The LiteLLM adapter and the simulator both run this class. It knows neither, and the caller passes the time.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from random import Random

import numpy as np

from rb_litellm.core.affinity import AffinityRule, CachedPrefix
from rb_litellm.core.assign import Fleet, assign
from rb_litellm.core.availability import Availability
from rb_litellm.core.batch import BatchRequest, Prices
from rb_litellm.core.breakdown import Decision, Refusal
from rb_litellm.core.capacity import Capacity, Room, Usage
from rb_litellm.core.capacity import stated as capacity_of
from rb_litellm.core.evidence import TEACHES, Evidence, evidence_of
from rb_litellm.core.exploration import RECOVERY, ExplorationRule
from rb_litellm.core.filters import Limits
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency import LatencyForecast, LatencyPrior, forecast
from rb_litellm.core.latency_learning import LatencyLearner
from rb_litellm.core.learned import LearnedTimes
from rb_litellm.core.prefix_memory import PrefixMemory
from rb_litellm.core.quota import Quotas
from rb_litellm.core.residuals import FleetResiduals, Residuals
from rb_litellm.core.sampling import CandidateSampling
from rb_litellm.core.scoring import BALANCED, Objective
from rb_litellm.core.shares import Shares, for_key
from rb_litellm.core.shares import stated as shares_of
from rb_litellm.core.streams import Stream
from rb_litellm.core.trials import FleetTrials, Trials
from rb_litellm.core.types import BoolArray, FloatArray, InstanceState, IntArray, Outcome, Prompt
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.state.gauges import wire_name
from rb_litellm.state.reckoning import Reckoner

Identity = tuple[str, str, str, LatencyPrior]
"""Tier, model, what serves, prior."""
MAX_STREAMS_PER_STEP = 512
"""Open streams that are observed in one step; the others are in the next."""
AGE_EVERY_S = 1.0
"""Beliefs age in steps of so long."""
MAX_LEARNED = 4096
"""Deployments that are shared with other workers, and kept of what they share."""
MAX_CANDIDATE_SETS = 256
"""Sets of candidates whose arrays are cached; the least recently used is dropped."""


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


@dataclass(slots=True)
class Assignment:
    """The deployment of a request, and how it was chosen."""

    deployment: Deployment
    decision: Decision
    deployments: tuple[Deployment, ...]
    """The N deployments of the arrays in `decision.breakdown`."""


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


@dataclass(frozen=True, slots=True)
class CandidateSet:
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
    latency_errors: FleetResiduals
    twins: IntArray | None
    """(N,) tier of each hosted one, -1 for others; None where no two hosted ones are of one tier."""
    everyone: BoolArray
    """(N,) True everywhere; shared by all requests that may use all candidates, so it is read-only."""
    shares: Shares | None
    """None where nobody states any,"""
    capacity: Capacity | None
    """or has any limits."""


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
        self._learner = learner
        self.residuals = Residuals()
        """Measured against predicted latency of each tier, for P(latency <= limit)."""
        self._random = random
        self._trials = Trials()
        self._availability = Availability()
        self._quotas = Quotas()
        self._aged_s = -math.inf
        self._rows: dict[str, int] = {}
        """The learner's row of each deployment as it is now,"""
        self._rows_by_identity: dict[tuple[str, Identity], int] = {}
        """and of each that it ever was."""
        self._changed_s: dict[str, float] = {}
        """When a deployment became another one under its old id."""
        self._names: list[str] = []
        """By row, what workers call it among themselves."""
        self._heard: dict[str, LearnedTimes] = {}
        self._adopted_s: dict[int, float] = {}
        """When each row was last measured by another worker, as far as that was taken over."""
        self._now = 0.0
        self._last_chosen: FloatArray = np.zeros(0)
        self._candidate_sets: OrderedDict[tuple[Deployment, ...], CandidateSet] = OrderedDict()
        self.memory = memory or PrefixMemory()
        """An estimate of what deployments have cached."""
        self.usage = usage or Usage()
        """What went to deployments with limits in the last minute, by row of the index."""
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
        candidate_set, fleet, batch_requests = self._setting(requests, predictions, now)
        fleet.trials = FleetTrials(self._trials, self._learner, candidate_set.rows)
        # Here alone: a preview shows the best choice, without chance or trials.
        if (workers := self._reckoner.workers) > 1:
            fleet.sampling = CandidateSampling(workers, candidate_set.tier_rows)
        decisions = assign(batch_requests, fleet, now, self._random)
        self._last_chosen[candidate_set.rows] = fleet.last_chosen_s
        for decision in decisions:
            if isinstance(decision, Decision):
                row = int(candidate_set.rows[decision.index])
                self._quotas.sent(row, now)
                if not decision.explored:
                    self._trials.satisfied(row)
        if fleet.credit is not None:
            self._credit[candidate_set.rows] = fleet.credit
        if candidate_set.capacity is not None:
            for request, decision in zip(requests, decisions, strict=True):
                if isinstance(decision, Decision):
                    self._count(request, candidate_set, decision, now)
        for request, batch_request, decision in zip(requests, batch_requests, decisions, strict=True):
            if batch_request.cached_prefix is not None and isinstance(decision, Decision):
                row, group = (
                    int(candidate_set.state_rows[decision.index]),
                    candidate_set.groups[decision.index],
                )
                self.memory.sent(batch_request.cached_prefix, request.prompt, row, group, now)
        return [_assignment(decision, candidate_set.deployments) for decision in decisions]

    def preview(
        self, request: RoutingRequest, predictions: PredictionSource, now: float
    ) -> tuple[Assignment | Refusal, tuple[Deployment, ...]]:
        """What `decide` would answer for this request alone, and its N deployments; changes nothing."""
        candidate_set, fleet, batch_requests = self._setting(
            [replace(request, exploration=None)], predictions, now
        )
        (decision,) = assign(batch_requests, fleet, now, Random(0))
        return _assignment(decision, candidate_set.deployments), candidate_set.deployments

    def record_shadow(
        self, request: RoutingRequest, chosen: Deployment, predictions: PredictionSource, now: float
    ) -> tuple[Assignment, Assignment | Refusal]:
        """The choice of another strategy, and what `decide` would have answered instead (shadow mode).

        The first is that choice with its predictions, for the caller to record as open.

        Raises:
            ValueError: `chosen` is no candidate.
        """
        candidate_set, fleet, batch_requests = self._setting(
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
            breakdown=breakdown,
        )
        if candidate_set.capacity is not None:
            self._count(request, candidate_set, theirs, now)
        return Assignment(chosen, theirs, candidate_set.deployments), _assignment(
            decision, candidate_set.deployments
        )

    def _setting(
        self, requests: Sequence[RoutingRequest], predictions: PredictionSource, now: float
    ) -> tuple[CandidateSet, Fleet, list[BatchRequest]]:
        self._now = max(self._now, now)
        if now - self._aged_s >= AGE_EVERY_S:
            self._aged_s = now
            self._learner.age(now)
        candidate_set, masks = self._common_candidate_set(requests)
        state = self._reckoner.state(now).take(candidate_set.state_rows)
        slowdown = self._slowdown(candidate_set, now)
        predicted = predictions.predict([request.prompt for request in requests], candidate_set.models)
        quality = predicted.quality[:, candidate_set.model_of]
        output_tokens = predicted.output_tokens[:, candidate_set.model_of] * candidate_set.writes
        fleet = Fleet(
            coefficients=self._learner.coefficients.take(candidate_set.rows),
            state=state,
            prices=candidate_set.prices,
            last_chosen_s=self._last_chosen[candidate_set.rows],
            slowdown=slowdown if float(slowdown[slowdown.argmax()]) > 1.0 else None,
            measured=self._learner.measured[candidate_set.rows]
            if any(r.exploration is not None and r.exploration.method != "recovery" for r in requests)
            else None,
            latency_errors=candidate_set.latency_errors,
            twins=candidate_set.twins,
            room=self._room(candidate_set, now),
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
            )
            for r, request in enumerate(requests)
        ]
        return candidate_set, fleet, batch_requests

    def _slowdown(self, candidate_set: CandidateSet, now: float) -> FloatArray:
        slowdown = self._reckoner.slowdown(now)[candidate_set.state_rows]
        if self._availability.any_failed:
            slowdown = slowdown * self._availability.factor(candidate_set.rows, now)
        if self._quotas.any_known:
            slowdown = slowdown * self._quotas.factor(candidate_set.rows, now)
        return slowdown

    def told_quota(self, deployment: str, headers: Mapping[str, object], now: float) -> None:
        """An answer of this deployment came with these headers, which may speak of its quota."""
        row = self._rows.get(deployment)
        if row is not None:
            self._quotas.told(row, headers, now)

    def first_token(self, outcome: Outcome) -> None:
        """Let the latency model learn from the first token of an attempt that is still open."""
        row = self._rows.get(outcome.deployment)
        if row is not None and not self._is_of_another(outcome):
            self._learner.first_token(row, outcome)

    def observe_streams(self, streams: Iterable[Stream], now: float) -> None:
        """Let the latency model learn from the progress of open streams; call it about once a second."""
        contradicted = set(self._learner.contradicted.tolist())
        watched: dict[str, list[Stream]] = {id_: [] for id_, row in self._rows.items() if row in contradicted}
        for stream in streams:
            if stream.deployment in self._rows:
                watched.setdefault(stream.deployment, []).append(stream)
        in_flight = self._reckoner.state(now).in_flight
        for deployment, its in watched.items():
            load = float(in_flight[self._reckoner.row(deployment)])
            tpot_s = self._learner.observe_streams(self._rows[deployment], load, its, now)
            if tpot_s is not None:
                self._reckoner.cap_decode_rate(deployment, tpot_s)

    def snapshot(
        self,
        deployments: Sequence[Deployment],
        now: float,
        input_tokens: float = 0.0,
        output_tokens: float = 0.0,
    ) -> ClusterSnapshot:
        """The latency of a request of this size on each of N deployments now, to show to people."""
        candidate_set = self._candidate_set(tuple(deployments))
        state = self._reckoner.state(now).take(candidate_set.state_rows)
        slowdown = self._slowdown(candidate_set, now)
        coefficients = self._learner.coefficients.take(candidate_set.rows)
        times = forecast(coefficients, state, input_tokens, output_tokens * candidate_set.writes, slowdown)
        return ClusterSnapshot(candidate_set.deployments, state, times, slowdown)

    def learn(self, outcome: Outcome) -> None:
        """Let the latency model learn from a closed attempt; unknown deployments are skipped."""
        row = self._rows.get(outcome.deployment)
        if row is None or self._is_of_another(outcome):
            return
        at_s = self._now if outcome.at_s is None else outcome.at_s
        evidence = evidence_of(outcome)
        taught = TEACHES[evidence]
        self.residuals.learn(self._learner.tier_row(row), outcome)
        self._learner.observe(row, outcome)
        if taught.availability is not None or taught.lower_bound:
            self._availability.observe(row, taught.availability is True, at_s)
        if evidence is Evidence.LIMITED:
            self._quotas.refused(row, at_s)
        if taught.times:
            self._trials.heard(row, _log_error(outcome))
        elif evidence not in (Evidence.UNTIMED, Evidence.UNKNOWN):
            self._trials.heard(row, math.inf)

    def learned(self, since_s: float) -> dict[str, LearnedTimes]:
        """What this worker has measured itself since then, by a name of what serves: at most MAX_LEARNED."""
        found: dict[str, LearnedTimes] = {}
        for row in self._rows.values():
            times = self._learner.learned(row)
            if times is not None and times.seen_s > max(since_s, self._adopted_s.get(row, -math.inf)):
                found[self._names[row]] = times
                if len(found) >= MAX_LEARNED:
                    break
        return found

    def adopt(self, learned: Mapping[str, LearnedTimes]) -> None:
        """Take over what other workers have measured, of deployments that are met later, too."""
        self._heard = dict(islice(learned.items(), MAX_LEARNED))
        for row in self._rows.values():
            self._adopt(row)

    def _adopt(self, row: int) -> None:
        times = self._heard.get(self._names[row])
        if times is not None and self._learner.adopt(row, times):
            self._adopted_s[row] = times.seen_s

    def _is_of_another(self, outcome: Outcome) -> bool:
        """Whether the attempt was sent to what the deployment was before it was edited."""
        changed_s = self._changed_s.get(outcome.deployment)
        if changed_s is None or outcome.at_s is None:
            return False
        return outcome.at_s - outcome.open_s < changed_s

    def settle(self, outcome: Outcome, now: float) -> None:
        """Count against `tpm` what a closed attempt has written, and no longer what it was expected to."""
        if outcome.predicted is None or (outcome.output_tokens is None and outcome.error is None):
            return
        written = 0 if outcome.output_tokens is None else outcome.output_tokens
        row = self._reckoner.row(outcome.deployment)
        self.usage.corrected(row, written - outcome.predicted.output_tokens, now)

    def _room(self, candidate_set: CandidateSet, now: float) -> Room | None:
        if candidate_set.capacity is None:
            return None
        rows = candidate_set.state_rows
        open_here = self._reckoner.open_here()
        requests, tokens = self._reckoner.used(self.usage.of_minute(open_here.size, now), now)[:, rows]
        return Room(candidate_set.capacity, requests, tokens, open_here[rows])

    def _count(
        self, request: RoutingRequest, candidate_set: CandidateSet, decision: Decision, now: float
    ) -> None:
        tokens = request.prompt.input_tokens + decision.prediction.output_tokens
        self.usage.sent(candidate_set.state_rows.item(decision.index), tokens, now)

    def _cached_prefix(
        self, request: RoutingRequest, candidate_set: CandidateSet, now: float
    ) -> CachedPrefix | None:
        if request.affinity is None:
            return None
        rows, tiers = candidate_set.state_rows, candidate_set.tier_rows
        return self.memory.match(request.prompt, request.affinity, rows, tiers, candidate_set.groups, now)

    def _common_candidate_set(
        self, requests: Sequence[RoutingRequest]
    ) -> tuple[CandidateSet, Sequence[BoolArray]]:
        first = requests[0].candidates
        if all(request.candidates == first for request in requests[1:]):
            candidate_set = self._candidate_set(first)
            return candidate_set, [candidate_set.everyone] * len(requests)
        union = tuple(dict.fromkeys(d for request in requests for d in request.candidates))
        position = {deployment: i for i, deployment in enumerate(union)}
        masks = np.zeros((len(requests), len(union)), dtype=np.bool_)
        for r, request in enumerate(requests):
            masks[r, [position[d] for d in request.candidates]] = True
        return self._candidate_set(union), list(masks)

    def _candidate_set(self, deployments: tuple[Deployment, ...]) -> CandidateSet:
        candidate_set = self._candidate_sets.get(deployments)
        if candidate_set is None:
            candidate_set = self._candidate_sets[deployments] = self._make_candidate_set(deployments)
            if len(self._candidate_sets) > MAX_CANDIDATE_SETS:
                self._candidate_sets.popitem(last=False)
        else:
            self._candidate_sets.move_to_end(deployments)
        return candidate_set

    def _make_candidate_set(self, deployments: tuple[Deployment, ...]) -> CandidateSet:
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
        return CandidateSet(
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
            latency_errors=FleetResiduals.of(self.residuals, tier_rows),
            twins=_twins(deployments, tier_rows),
            everyone=everyone,
            shares=shares_of(deployments),
            capacity=capacity_of(deployments),
        )

    def _row(self, deployment: Deployment) -> int:
        identity = identity_of(deployment)
        row = self._rows_by_identity.get((deployment.id, identity))
        if row is None:
            row = self._learner.add(deployment.tier, deployment.prior)
            self._rows_by_identity[deployment.id, identity] = row
            self._last_chosen = np.append(self._last_chosen, -np.inf)
            self._credit = np.append(self._credit, 0.0)
            for its in (self._trials, self._availability, self._quotas):
                its.add()
            self._names.append(learned_name(deployment.id, identity))
            self._adopt(row)
        if self._rows.get(deployment.id, row) != row:
            self._changed_s[deployment.id] = self._now
        self._rows[deployment.id] = row
        return row


def _assignment(decision: Decision | Refusal, deployments: tuple[Deployment, ...]) -> Assignment | Refusal:
    if isinstance(decision, Refusal):
        return decision
    return Assignment(deployments[decision.index], decision, deployments)


def identity_of(deployment: Deployment) -> Identity:
    """What serves under a deployment's id: with another of these it is another deployment."""
    return deployment.tier, deployment.model, deployment.serves, deployment.prior


def learned_name(deployment: str, identity: Identity) -> str:
    """What workers call a deployment with this identity when they share what they learned."""
    digest = blake2b(repr(identity).encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{wire_name(deployment)}|{digest}"


def _twins(deployments: Sequence[Deployment], tier_rows: IntArray) -> IntArray | None:
    hosted = np.array([math.isinf(d.prior.slots) for d in deployments], dtype=np.bool_)
    tiers, counts = np.unique(tier_rows[hosted], return_counts=True)
    if not (counts > 1).any():
        return None
    return np.where(hosted & np.isin(tier_rows, tiers[counts > 1]), tier_rows, -1)


def _log_error(outcome: Outcome) -> float:
    """Measured / forecast time at the length that the answer came to have, in log."""
    predicted = outcome.predicted
    if predicted is None or outcome.open_s <= 0.0:
        return 0.0
    tokens = predicted.output_tokens if outcome.output_tokens is None else outcome.output_tokens
    expected_s = predicted.ttft_s + max(tokens - 1.0, 0.0) * predicted.tpot_s
    return math.log(outcome.open_s / expected_s) if expected_s > 0.0 else 0.0


def _shares(request: RoutingRequest, candidate_set: CandidateSet) -> Shares | None:
    if request.weights is None:
        return candidate_set.shares
    return for_key(candidate_set.shares, candidate_set.deployments, request.weights)


def model_info(deployment: Deployment) -> ModelInfo:
    """What a predictor knows of the deployment's model."""
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
        base_model=deployment.base_model,
        like=deployment.like,
    )


def _with_median(prices: FloatArray) -> FloatArray:
    """Prices (N,), the unknown ones replaced by the median of the known; zero if none is known."""
    unknown = np.isnan(prices)
    if not unknown.any():
        return prices
    return np.where(unknown, 0.0 if unknown.all() else np.nanmedian(prices), prices)
