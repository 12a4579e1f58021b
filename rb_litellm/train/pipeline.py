"""One call from graded answers to a predictor's folder, for the command and other callers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rb_litellm.predictors.trained.model import CARD, PROMPTS, Predictor
from rb_litellm.spread.where import HERE, Where
from rb_litellm.train.card import model_card
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.fitting.fit import fit
from rb_litellm.train.fitting.share_of_default import beside_trained
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
    fitted.meta.update(beside_trained(data, fitted.unseen_quality, seed).as_json())
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
