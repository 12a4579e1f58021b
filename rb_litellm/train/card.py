"""The model card: what a predictor was trained on, how, and how well it does on prompts it had not seen."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from rb_litellm.train.dataset import Dataset
from rb_litellm.train.evaluation import model_report
from rb_litellm.train.fit import FOLDS, Fitted
from rb_litellm.train.routing import routing_report

_PACKAGES = ("rb_litellm", "xgboost", "numpy", "tiktoken")


def model_card(data: Dataset, fitted: Fitted, seed: int, seconds: float) -> dict[str, Any]:
    """The card as plain data; holds no prompt."""
    means = fitted.meta["mean_quality"]
    constants = np.array(fitted.meta["length_quantiles"], dtype=np.float64)
    return {
        "data_sha256": data.sha256,
        "rows": data.rows,
        "prompts": len(data.prompts),
        "seed": seed,
        "seconds": round(seconds, 1),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
        "judged_by": f"{FOLDS}-fold cross-validation by prompt",
        "routing": routing_report(data, fitted.unseen_quality, None, seed),
        "models": {
            name: model_report(
                data.quality[:, j],
                data.output_tokens[:, j],
                fitted.unseen_quality[:, j],
                fitted.unseen_length_quantiles[:, j],
                means[j],
                constants[j],
            )
            for j, name in enumerate(data.models)
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
