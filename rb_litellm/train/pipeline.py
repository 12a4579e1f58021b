"""One call from graded answers to a predictor's folder, for the command and other callers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rb_litellm.predictors.trained.model import CARD, PROMPTS, Predictor
from rb_litellm.spread.where import HERE, Where
from rb_litellm.train.card import model_card
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.fitting.fit import Fitted, fit
from rb_litellm.train.fitting.share_of_default import BesideTrained, beside_trained
from rb_litellm.train.folder import check_free, write_folder


def train_predictor(
    data: Dataset,
    out: Path,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, of: None,
    latencies: Mapping[str, Any] | None = None,
    where: Where = HERE,
) -> Predictor:
    """Train on `data`, write the folder `out` and load it. `latencies` of deployments go into its card.

    Raises:
        DataError: too little to learn from.
        FileExistsError: `out` holds something.
        SpreadError: as `fit`.
    """
    check_free(out)
    started = time.perf_counter()
    fitted = fit(data, seed, progress, where)
    beside = beside_trained(data, fitted.unseen_quality, seed)
    return _write(data, fitted, beside, out, seed, started, latencies)


def train_partitioned(
    paths: Sequence[Path],
    out: Path,
    seed: int,
    progress: Callable[[int, int], None],
    where: Where,
) -> tuple[Predictor, Dataset]:
    """The same on files that the workers of the cluster `where` read and keep; with their labels.

    Raises:
        DataError: rows that are wrong, or too little to learn from.
        FileExistsError: `out` holds something.
        SpreadError: as `fit_partitions`.
    """
    # XGBoost and Dask alone make this slow to import.
    from rb_litellm.spread.dask_cluster import cluster_client
    from rb_litellm.train.partitioned.fit import fit_partitions
    from rb_litellm.train.partitioned.partitions import Partitions

    check_free(out)
    started = time.perf_counter()
    assert where.scheduler is not None
    # Some functions of Dask and XGBoost ask which client is meant.
    with cluster_client(where.scheduler) as client, client.as_current():
        partitions = Partitions(client, paths)
        made = fit_partitions(partitions, where, seed, progress)
    data = partitions.labels
    beside = beside_trained(made.sample, made.unseen_quality, seed)
    return _write(data, made.fitted, beside, out, seed, started), data


def _write(
    data: Dataset,
    fitted: Fitted,
    beside: BesideTrained,
    out: Path,
    seed: int,
    started: float,
    latencies: Mapping[str, Any] | None = None,
) -> Predictor:
    fitted.meta.update(beside.as_json())
    card = model_card(data, fitted, seed, time.perf_counter() - started)
    if latencies:
        card["latency"] = dict(latencies)
    return write_folder(
        out,
        {
            "model.json": json.dumps(fitted.meta).encode(),
            "encoder.npz": fitted.encoder,
            "booster.ubj": fitted.booster,
            CARD: json.dumps(card, indent=1).encode(),
            PROMPTS: "\n".join(data.prompt_ids).encode(),
        },
    )
