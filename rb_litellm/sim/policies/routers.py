"""Quality routers that choose a model by the prompt alone and then join its shortest queue.

Three families, each rebuilt in its simplest form and trained on the same rows as any predictor:

- `classifier`, in the manner of BEST-Route (arXiv 2506.22716): per model the probability that its answer is
  as good as the best model's, within a margin; the cheapest model above a threshold is taken.
- `clusters`, in the manner of Avengers-Pro (arXiv 2508.12631): prompts are clustered, and a model is scored
  by its mean quality and cost in the prompt's clusters.
- `winrate`, in the manner of RouteLLM (arXiv 2406.18665): the probability that the strong model beats the
  weak one decides between these two, by a threshold.

They look at the features that our predictor looks at, through gradient-boosted trees, so that the
comparison is of the way of routing and not of the text encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import xgboost

from rb_litellm.core.types import FloatArray, Prompt
from rb_litellm.sim.policies.baseline_policies import TierQueues
from rb_litellm.sim.policies.plain_features import featurise
from rb_litellm.sim.policies.policy import DecisionQueue, Oblivious
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Corpus, Request

SCORING_S = 0.009
"""Time to score one prompt: what a small sentence encoder takes on one CPU thread (MiniLM, int8, p50)."""
SERIAL_SCORING_S = 0.065
"""Time of one call of the published classifier (DeBERTa-v3), as RouteBalance's authors met it: 64 s mean
E2E over 3,534 requests at 30/s, of which all but about 8 s were the queue before it, which grows by
(time of a call - 1/30 s) with each request."""
_MARGIN = 0.05
"""An answer this much below the best still counts as as good."""
_CLUSTERS = 16
_NEAREST = 3
_TREES = {"max_depth": 4, "eta": 0.08, "subsample": 0.8, "colsample_bytree": 0.5, "nthread": 1}
_ROUNDS = 60


class ModelChooser(Protocol):
    """Prompts -> tier of each."""

    def choose(self, prompts: Sequence[Prompt]) -> Sequence[int]:
        """One tier per prompt, by its number in the cluster."""


class Classifier:
    """The cheapest model that is probably as good as the best; the likeliest one where none is."""

    def __init__(self, train: Corpus, cluster: Cluster, threshold: float = 0.5, seed: int = 0) -> None:
        good = train.quality >= train.quality.max(axis=1, keepdims=True) - _MARGIN
        self._model = _fit(train, good.astype(np.float64), "binary:logistic", seed)
        self._by_price = np.argsort([tier.output_usd_per_million for tier in cluster.tiers])
        self._threshold = threshold

    def choose(self, prompts: Sequence[Prompt]) -> Sequence[int]:
        """By threshold, cheap models first."""
        likely = _apply(self._model, prompts)[:, self._by_price]
        passes = likely >= self._threshold
        place = np.where(passes.any(axis=1), passes.argmax(axis=1), likely.argmax(axis=1))
        return [int(tier) for tier in self._by_price[place]]


class Clusters:
    """Mean quality and cost of each model among similar prompts, weighed by `quality` in [0, 1]."""

    def __init__(self, train: Corpus, cluster: Cluster, quality: float = 0.5, seed: int = 0) -> None:
        rows = _unit(featurise(train.prompts))
        self._centres, labels = _k_means(rows, min(_CLUSTERS, len(rows)), seed)
        prices = np.array([tier.output_usd_per_million for tier in cluster.tiers])
        cost = train.output_tokens * prices
        every = np.arange(len(self._centres))
        mean_quality = np.array([train.quality[labels == c].mean(axis=0) for c in every])
        mean_cost = np.array([cost[labels == c].mean(axis=0) for c in every])
        self._scores = quality * _minmax(mean_quality) + (1.0 - quality) * (1.0 - _minmax(mean_cost))

    def choose(self, prompts: Sequence[Prompt]) -> Sequence[int]:
        """The best sum of scores over the nearest clusters."""
        near = _unit(featurise(prompts)) @ self._centres.T
        nearest = np.argsort(-near, axis=1)[:, :_NEAREST]
        return [int(tier) for tier in self._scores[nearest].sum(axis=1).argmax(axis=1)]


class WinRate:
    """The strong model where it probably beats the weak one, else the weak one."""

    def __init__(self, train: Corpus, cluster: Cluster, threshold: float = 0.5, seed: int = 0) -> None:
        self._weak = int(np.argmin([tier.output_usd_per_million for tier in cluster.tiers]))
        self._strong = int(train.quality.mean(axis=0).argmax())
        lead = train.quality[:, self._strong] - train.quality[:, self._weak]
        wins = np.where(lead > _MARGIN, 1.0, np.where(lead < -_MARGIN, 0.0, 0.5))
        self._model = _fit(train, wins[:, None], "binary:logistic", seed)
        self._threshold = threshold

    def choose(self, prompts: Sequence[Prompt]) -> Sequence[int]:
        """By threshold."""
        wins = _apply(self._model, prompts)[:, 0] >= self._threshold
        return [self._strong if win else self._weak for win in wins]


class ThenShortestQueue(Oblivious):
    """A model chooser in front of a shortest-queue balancer over that model's deployments."""

    def __init__(
        self,
        name: str,
        chooser: ModelChooser,
        cluster: Cluster,
        *,
        serial: bool = False,
        scoring_s: float | None = None,
        seed: int = 0,
    ) -> None:
        """`serial`: one prompt is scored at a time; else every prompt at once, each taking as long.

        `scoring_s` None: SERIAL_SCORING_S for the serial form, which is as published, else SCORING_S.
        """
        if scoring_s is None:
            scoring_s = SERIAL_SCORING_S if serial else SCORING_S
        self.name = name
        self.decision_queue = DecisionQueue("single" if serial else "concurrent", scoring_s)
        self._chooser = chooser
        self._queues = TierQueues(cluster, seed)

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """The model by the prompt, the deployment by its queue."""
        tiers = self._chooser.choose([request.prompt for request in batch])
        return [self._queues.join(tier) for tier in tiers]

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """One fewer in that queue."""
        self._queues.leave(deployment)


def _fit(train: Corpus, targets: FloatArray, objective: str, seed: int) -> xgboost.Booster:
    data = xgboost.DMatrix(featurise(train.prompts), targets)
    settings: dict[str, Any] = {**_TREES, "objective": objective, "seed": seed}
    return xgboost.train(settings, data, num_boost_round=_ROUNDS)


def _apply(model: xgboost.Booster, prompts: Sequence[Prompt]) -> FloatArray:
    raw = np.asarray(model.inplace_predict(featurise(prompts)), dtype=np.float64)
    return raw.reshape(len(prompts), -1)


def _unit(rows: npt.NDArray[np.float32]) -> FloatArray:
    # Log counts of words and lengths: of one size, so that no long prompt is far from all others.
    values = np.log1p(np.abs(rows.astype(np.float64)))
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9))


def _k_means(
    rows: FloatArray, count: int, seed: int, rounds: int = 30
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Spherical k-means, (K, F) unit centres and (P,) labels; every cluster keeps at least one row."""
    random = np.random.default_rng(seed)
    centres = rows[random.choice(len(rows), count, replace=False)]
    labels = np.zeros(len(rows), dtype=np.int64)
    for _ in range(rounds):
        near = rows @ centres.T
        labels = near.argmax(axis=1)
        # An empty cluster starts again at the row that its own centre fits worst.
        for empty in np.setdiff1d(np.arange(count), labels):
            labels[near.max(axis=1).argmin()] = empty
            near[near.max(axis=1).argmin()] = 1.0
        sums = np.stack([rows[labels == c].sum(axis=0) for c in range(count)])
        centres = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return centres, labels


def _minmax(values: FloatArray) -> FloatArray:
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return np.asarray((values - low) / np.maximum(high - low, 1e-9))
