"""Predictors for simulations, trained on the part of the data that is not simulated.

A predictor trained here speaks of the cluster's tiers by their own model names, over whatever mixture of
data files was read. One that a user brings is asked by the names of the models that stand for the tiers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.predictors.trained.model import PROMPTS, Predictor
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import STAND_INS, Corpus, read_corpus
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.pipeline import train_predictor


def train_for(
    data: Sequence[Path],
    cluster: Cluster,
    out: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Path:
    """Train a predictor of the cluster's tiers on the training part of the data; its folder `out`.

    Raises:
        DataError: the data cannot be read or are too few.
        FileExistsError: `out` holds something.
    """
    train, _ = read_corpus(data, cluster).split()
    train_predictor(as_dataset(train, cluster), out, seed, progress)
    return out


def as_dataset(corpus: Corpus, cluster: Cluster) -> Dataset:
    """The corpus as training data with one model per tier."""
    return Dataset(
        prompts=corpus.prompts,
        prompt_ids=corpus.ids,
        tasks=corpus.tasks or ("",) * len(corpus),
        models=tuple(tier.model for tier in cluster.tiers),
        quality=corpus.quality,
        output_tokens=corpus.output_tokens,
        rows=corpus.quality.size,
        sha256="",
    )


def known_prompts(predictor: Path) -> frozenset[str]:
    """Ids of the prompts that a predictor was trained on, as far as its folder tells."""
    told = predictor / PROMPTS
    return frozenset(told.read_text(encoding="ascii").split()) if told.is_file() else frozenset()


def prediction_source(predictor: Predictor | None, cluster: Cluster) -> PredictionSource:
    """What RouteBalance predicts by in a simulation, the default predictor where none is given; failures are
    raised, not answered from priors.

    Raises:
        ValueError: the predictor knows neither the tiers' models nor any that stand for them.
    """
    tiers = [tier.model for tier in cluster.tiers]
    if predictor is None:
        return PredictionSource(on_error=_raise, default=packaged())
    for models in (tiers, *STAND_INS):
        if len(models) == len(tiers) and set(models) <= set(predictor.models):
            return PredictionSource(predictor, dict(zip(tiers, models, strict=True)), on_error=_raise)
    raise ValueError(
        f"the predictor knows {', '.join(predictor.models)}; needed are the tiers' models "
        f"({', '.join(tiers)}), or those of the data that stand for them"
    )


def _raise(error: Exception) -> None:
    # In a proxy the request is served from priors; an experiment must not silently measure something else.
    raise error
