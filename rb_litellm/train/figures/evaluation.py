"""Judge a predictor on graded prompts it has not seen, each figure beside that of the constant.

The constant is what the predictor's training data say of the model as a whole: its mean quality, its
median length, its quantiles of length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, ModelPredictions
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.names import AmbiguousName, listed, same_model
from rb_litellm.predictors.trained.model import LEVELS
from rb_litellm.train.data.dataset import DataError, Dataset
from rb_litellm.train.data.judged import Judged
from rb_litellm.train.figures import metrics
from rb_litellm.train.figures.by_kind import kind_reports
from rb_litellm.train.figures.pairs import pair_reports
from rb_litellm.train.figures.routing import routing_report

BATCH = 256


def evaluate(
    predictor: Judged,
    data: Dataset,
    prices: Mapping[str, float] | None = None,
    seed: int = 0,
    names: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The report of `routebalance evaluate`, over the models that predictor and data share.

    `left_out` names the data's other models.

    `names` says what the predictor calls a model of the data, where the names differ by more than the
    provider.

    Raises:
        DataError: they share none, a price is missing, or a name may mean several models.
    """
    data = _named_alike(data, predictor.models, names or {})
    if prices is not None:
        prices = {_name_of(name, predictor.models, names or {}): price for name, price in prices.items()}
    shared = [name for name in predictor.models if name in data.models]
    if not shared:
        raise DataError(
            f"the data speak of {', '.join(data.models)}; the predictor of {', '.join(predictor.models)}"
        )
    left_out = [name for name in data.models if name not in shared]
    data = data.for_models(shared)
    columns = [predictor.models.index(name) for name in shared]
    parts = [predictor.predict(data.prompts[at : at + BATCH]) for at in range(0, len(data.prompts), BATCH)]
    quality = np.concatenate([part.quality for part in parts])[:, columns]
    quantiles = np.concatenate([part.length_quantiles for part in parts])[:, columns]
    return {
        "predictor": predictor.version,
        "prompts": len(data.prompts),
        "left_out": left_out,
        "routing": routing_report(data, quality, prices, seed),
        "pairs": pair_reports(shared, data.quality, quality, seed),
        **_by_kind(data, parts, quality),
        "models": {
            name: model_report(
                data.quality[:, j],
                data.output_tokens[:, j],
                quality[:, j],
                quantiles[:, j],
                predictor.known[columns[j]].quality,
                predictor.length_constants[columns[j]],
            )
            for j, name in enumerate(shared)
        },
    }


def _by_kind(data: Dataset, parts: Sequence[ModelPredictions], quality: FloatArray) -> dict[str, Any]:
    """Figures by the kind that the predictor takes each prompt for, and by the task that the data name."""
    report: dict[str, Any] = {"kinds": None, "tasks": None}
    if (told := [part.kinds for part in parts if part.kinds is not None]) and len(told) == len(parts):
        taken_for = [KINDS[i] for i in np.concatenate(told).argmax(axis=1)]
        report["kinds"] = kind_reports(taken_for, data.quality, quality)
    if any(data.tasks):
        report["tasks"] = kind_reports(data.tasks, data.quality, quality)
    return report


def _named_alike(data: Dataset, known: Sequence[str], names: Mapping[str, str]) -> Dataset:
    """The data with the predictor's names of their models."""
    if unknown := sorted(set(names) - set(data.models)):
        raise DataError(f"--name {unknown[0]}: the data have no such model; they have {listed(data.models)}")
    if unknown := sorted(name for name in names if names[name] not in known):
        given = f"{unknown[0]}={names[unknown[0]]}"
        raise DataError(f"--name {given}: the predictor has no such model; it has {listed(known)}")
    told = [_name_of(name, known, names) for name in data.models]
    if twice := sorted({name for name in told if told.count(name) > 1}):
        both = [name for name, new in zip(data.models, told, strict=True) if new == twice[0]]
        raise DataError(
            f"the data name {twice[0]} in several ways: {listed(both)}; one of them is to be renamed"
        )
    return replace(data, models=tuple(told))


def _name_of(name: str, known: Sequence[str], names: Mapping[str, str]) -> str:
    try:
        return names.get(name) or same_model(name, known) or name
    except AmbiguousName as error:
        raise DataError(f"{error}; --name {name}=NAME says which") from None


def model_report(
    quality: FloatArray,
    tokens: FloatArray,
    predicted_quality: FloatArray,
    predicted_quantiles: FloatArray,
    constant_quality: float | None,
    constant_quantiles: FloatArray,
) -> dict[str, Any]:
    """Figures of one model, None where nothing was measured or nothing is predicted."""
    report: dict[str, Any] = dict.fromkeys(
        (
            "quality_rows",
            "quality_r2",
            "quality_mae",
            "quality_mae_constant",
            "quality_ece",
            "length_rows",
            "length_mae",
            "length_mae_constant",
            "length_pinball",
            "length_pinball_constant",
            "length_coverage_80",
        )
    )
    rows = np.isfinite(quality) & np.isfinite(predicted_quality)
    report["quality_rows"] = int(rows.sum())
    if rows.any() and constant_quality is not None:
        truth, told = quality[rows], predicted_quality[rows]
        report["quality_r2"] = metrics.r2(truth, told)
        report["quality_mae"] = metrics.mae(truth, told)
        report["quality_mae_constant"] = metrics.mae(truth, constant_quality)
        report["quality_ece"] = metrics.calibration_error(truth, told)
    rows = np.isfinite(tokens) & np.isfinite(predicted_quantiles).all(axis=1)
    report["length_rows"] = int(rows.sum())
    if rows.any():
        truth, spread = tokens[rows], predicted_quantiles[rows]
        middle = LEVELS.index(0.5)
        report["length_mae"] = metrics.mae(truth, spread[:, middle])
        report["length_mae_constant"] = metrics.mae(truth, float(constant_quantiles[middle]))
        report["length_pinball"] = metrics.pinball(truth, spread, LEVELS)
        report["length_pinball_constant"] = metrics.pinball(truth, constant_quantiles, LEVELS)
        report["length_coverage_80"] = metrics.coverage(truth, spread[:, 0], spread[:, -1])
    return {name: round(v, 6) if isinstance(v, float) else v for name, v in report.items()}
