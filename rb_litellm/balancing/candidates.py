"""Sets of candidates as arrays: what a decision needs of N deployments, worked out once for each set."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from rb_litellm.balancing.beliefs import Beliefs
from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.decision.batch import Prices
from rb_litellm.core.decision.breakdown import Decision, Refusal
from rb_litellm.core.decision.shares import Shares
from rb_litellm.core.decision.shares import stated as shares_of
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.learning.residuals import FleetResiduals
from rb_litellm.core.limits.capacity import Capacity
from rb_litellm.core.limits.capacity import stated as capacity_of
from rb_litellm.core.types import BoolArray, FloatArray, IntArray, Level, ModelPredictions
from rb_litellm.predictors.ability_learning import Gradable
from rb_litellm.predictors.registry import ModelInfo
from rb_litellm.state.reckoning import Reckoner

MAX_CANDIDATE_SETS = 256
"""Sets of candidates whose arrays are cached; the least recently used is dropped."""


@dataclass(frozen=True, slots=True)
class CandidateSet:
    """Arrays of one set of N candidates of M models, in the set's order."""

    deployments: tuple[Deployment, ...]
    rows: IntArray
    pace_rows: IntArray
    """(N,) the learner's rows: those that are equally quick, being one, have the same."""
    servers: IntArray | None
    """(N,) the server of each; None where no two are on one."""
    state_rows: IntArray
    tier_rows: IntArray
    """(N,) rows of the candidates' tiers in the residuals."""
    largest_tier: int
    """How many candidates are of one tier at most."""
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
    window_told: BoolArray
    """(N,) whether the operator, or LiteLLM's map, tells the context window, so that LiteLLM keeps to it."""
    shares: Shares | None
    """None where nobody states any,"""
    capacity: Capacity | None
    """or has any limits."""
    takes_n: BoolArray
    """(N,) who can be asked for several answers in one call."""
    levels: IntArray | None
    """(N,) the deployment of each; None where no two are levels of effort of one deployment."""
    level_names: tuple[str, ...] | None
    """(N,) what each level's lengths are learned by, empty for deployments as such; None without levels."""
    loop_names: tuple[str, ...]
    """(N,) what lengths in agents' loops are learned by, where there are no levels."""

    def willing(self, rules: Sequence[BestOfRule | None]) -> BoolArray:
        """(N,) who can be asked for several answers in one call, and has not refused it lately."""
        refused = {name for rule in rules if rule is not None for name in rule.refused}
        if not refused:
            return self.takes_n
        return self.takes_n & np.array([its.id not in refused for its in self.deployments], dtype=np.bool_)

    def gradable(
        self, predicted: ModelPredictions, row: int, decision: Decision | Refusal
    ) -> Gradable | None:
        """What was predicted of an answer that a user may grade; None where nothing learns from grades, or
        where the answer is the best of several, of which the model is not the only cause."""
        before = predicted.uncorrected_quality
        if before is None or predicted.kinds is None or isinstance(decision, Refusal):
            return None
        if decision.best_of is not None:
            return None
        column = int(self.model_of[decision.index])
        kinds = tuple(predicted.kinds[row].tolist())
        return Gradable(self.models[column].name, kinds, float(before[row, column]))

    def level(self, predicted: ModelPredictions, row: int, decision: Decision, *, loop: bool) -> Level | None:
        """What the length of the chosen level of effort, or of an agent's loop, is learned from; None where
        it is of neither."""
        name = self.level_names[decision.index] if self.level_names else ""
        if loop and self.level_names is None:
            name = self.loop_names[decision.index]
        if not name:
            return None
        tokens = predicted.output_tokens.item(row, self.model_of[decision.index])
        return Level(name, tokens, self.deployments[decision.index].effort)


class CandidateSets:
    """The sets that were met lately, at most MAX_CANDIDATE_SETS."""

    def __init__(self, reckoner: Reckoner, beliefs: Beliefs) -> None:
        self._reckoner = reckoner
        self._beliefs = beliefs
        self._found: OrderedDict[tuple[Deployment, ...], CandidateSet] = OrderedDict()

    def common(self, wanted: Sequence[tuple[Deployment, ...]]) -> tuple[CandidateSet, Sequence[BoolArray]]:
        """One set for a batch of requests, and which of its candidates (N,) each of them wants."""
        first = wanted[0]
        if all(its == first for its in wanted[1:]):
            candidate_set = self.of(first)
            return candidate_set, [candidate_set.everyone] * len(wanted)
        union = tuple(dict.fromkeys(d for its in wanted for d in its))
        position = {deployment: i for i, deployment in enumerate(union)}
        masks = np.zeros((len(wanted), len(union)), dtype=np.bool_)
        for r, its in enumerate(wanted):
            masks[r, [position[d] for d in its]] = True
        return self.of(union), list(masks)

    def of(self, deployments: tuple[Deployment, ...]) -> CandidateSet:
        """The arrays of these N deployments."""
        candidate_set = self._found.get(deployments)
        if candidate_set is None:
            candidate_set = self._found[deployments] = self._made(deployments)
            if len(self._found) > MAX_CANDIDATE_SETS:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(deployments)
        return candidate_set

    def forget(self, living: Container[str]) -> None:
        """Sets with any other deployment than these are not met again."""
        for deployments in [its for its in self._found if any(d.id not in living for d in its)]:
            del self._found[deployments]

    def _made(self, deployments: tuple[Deployment, ...]) -> CandidateSet:
        # One group may hold several models, and one model may be described in several ways.
        columns: dict[ModelInfo, int] = {}
        model_of = [columns.setdefault(model_info(d), len(columns)) for d in deployments]
        input_usd = np.array([d.input_usd_per_token for d in deployments])
        output_usd = np.array([d.output_usd_per_token for d in deployments])
        rows = [self._beliefs.row(d) for d in deployments]
        pace_rows = [self._beliefs.pace_row(row) for row in rows]
        tier_rows = np.array([self._beliefs.learner.tier_row(row) for row in pace_rows], dtype=np.int64)
        servers = np.array([self._reckoner.server(d.id) for d in deployments], dtype=np.int64)
        everyone = np.ones(len(deployments), dtype=np.bool_)
        everyone.setflags(write=False)
        state_rows = np.array([self._reckoner.row(d.id) for d in deployments], dtype=np.int64)
        price_known = ~(np.isnan(input_usd) | np.isnan(output_usd))
        leveled = any(d.effort for d in deployments)
        return CandidateSet(
            deployments=deployments,
            rows=np.array(rows, dtype=np.int64),
            pace_rows=np.array(pace_rows, dtype=np.int64),
            servers=servers if np.unique(servers).size < servers.size else None,
            tier_rows=tier_rows,
            largest_tier=int(np.bincount(tier_rows).max(initial=0)),
            state_rows=state_rows,
            groups=tuple(d.group for d in deployments),
            models=tuple(columns),
            model_of=np.array(model_of, dtype=np.int64),
            writes=np.array([1.0 if d.generates else 0.0 for d in deployments]),
            prices=Prices(
                _with_median(input_usd),
                _with_median(output_usd),
                None if price_known.all() else price_known,
                _own_prices(deployments, [d.cached_usd_per_token for d in deployments]),
                _own_prices(deployments, [d.written_usd_per_token for d in deployments]),
            ),
            latency_errors=FleetResiduals.of(self._beliefs.residuals, tier_rows),
            twins=_twins(deployments, tier_rows),
            everyone=everyone,
            window_told=np.array([d.context_window is not None for d in deployments], dtype=np.bool_),
            shares=shares_of(deployments),
            capacity=capacity_of(deployments),
            takes_n=np.array([d.takes_n for d in deployments], dtype=np.bool_),
            levels=state_rows if leveled else None,
            level_names=tuple(model_info(d).name if d.effort else "" for d in deployments)
            if leveled
            else None,
            loop_names=tuple(f"{model_info(d).name} in loops" for d in deployments),
        )


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
        effort=deployment.effort,
    )


def _twins(deployments: Sequence[Deployment], tier_rows: IntArray) -> IntArray | None:
    hosted = np.array([math.isinf(d.prior.slots) for d in deployments], dtype=np.bool_)
    tiers, counts = np.unique(tier_rows[hosted], return_counts=True)
    if not (counts > 1).any():
        return None
    return np.where(hosted & np.isin(tier_rows, tiers[counts > 1]), tier_rows, -1)


def _own_prices(deployments: Sequence[Deployment], of_some: Sequence[float]) -> FloatArray | None:
    """(N,) prices of a cached token, or one that is written, by those of some; None where nobody has any."""
    prices = np.array(of_some)
    if np.isnan(prices).all():
        return None
    plain = np.array([d.input_usd_per_token for d in deployments])
    return np.where(np.isnan(prices), np.nan_to_num(plain), prices)


def _with_median(prices: FloatArray) -> FloatArray:
    """Prices (N,), the unknown ones replaced by the median of the known; zero if none is known."""
    unknown = np.isnan(prices)
    if not unknown.any():
        return prices
    return np.where(unknown, 0.0 if unknown.all() else np.nanmedian(prices), prices)
