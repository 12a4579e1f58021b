"""The model card: what a predictor was trained on, how, and how well it does on prompts it had not seen."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.figures.evaluation import model_report
from rb_litellm.train.figures.routing import routing_report
from rb_litellm.train.fitting.fit import FOLDS, Fitted

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


def reached(card: Mapping[str, Any]) -> list[str]:
    """What the predictor has reached on prompts it had not seen, in a few lines."""
    routing, models = card["routing"], card["models"]
    lines = []
    if "argmax_quality" in routing:
        low, high = routing["ci95"]["gain"]
        lines.append(
            f"on prompts it had not seen: quality {routing['argmax_quality']:.3f} by the best predicted "
            f"model, {routing['best_single_quality']:.3f} by {routing['best_single']} alone "
            f"(gain {routing['gain']:+.3f}, 95% {low:+.3f} to {high:+.3f}), "
            f"{routing['oracle_quality']:.3f} at best"
        )
        if low <= 0.0:
            lines.append("the gain is not sure: more graded prompts of these kinds are needed")
    r2 = [m["quality_r2"] for m in models.values() if m["quality_r2"] is not None]
    if r2:
        lines.append(f"share of the variance of quality explained, by model: {min(r2):.2f} to {max(r2):.2f}")
    covered = [m["length_coverage_80"] for m in models.values() if m["length_coverage_80"] is not None]
    if covered:
        lines.append(
            f"answers whose length is within its 80% interval: {min(covered):.0%} to {max(covered):.0%}"
        )
    return lines or ["nothing could be judged: too few graded prompts"]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
