"""What choosing a model for each prompt is worth, of models that the default predictor was not taught.

    argmax          for each prompt the model with the highest predicted quality
    best by prior   the one model with the highest prior, which is its size's and its price's, for all prompts
    best expected   the one model with the highest mean of predicted quality, for all prompts
    best single     the one model with the highest measured quality, for all prompts
    oracle          for each prompt the model with the highest measured quality

What argmax has over the best expected one is what telling prompts apart adds to knowing the models. Models
are compared within their group (see `unseen`). Where there are prices, a cost is the lowest at which
predictions reach the quality of a single model, as a share of that model's; 1 where they never reach it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rb_litellm.core.types import FloatArray, IntArray
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.default.level_and_steepness import TASKS, rows_of
from rb_litellm.train.default.unseen import Unseen
from rb_litellm.train.figures.routing import cost_at, curve_of

CHOICES: Mapping[str, tuple[str, ...]] = {
    "quality_tasks": tuple(
        task
        for names in TASKS.values()
        for task in names.split()
        if task not in ("math_level5", "code_output", "chat")
    ),
    "math_level5": ("math_level5",),
    "code_output": ("code_output",),
    "quality_chat_wide": ("chat",),
}
"""Tasks over which the best predicted of all models is taken."""
OFTEN = 0.9
"""Share of the prompts that a model must have answered to be one of them."""
USD_PER_MILLION: Mapping[str, float] = {
    "gemma-2-9b-it": 0.10,
    "codegemma-7b": 0.20,
    "llama-3.1-8b-instruct": 0.20,
    "llama3-chatqa-1.5-8b": 0.20,
    "mistral-7b-instruct-v0.3": 0.20,
    "qwen2.5-7b-instruct": 0.20,
    "llama-3.1-nemotron-51b-instruct": 0.90,
    "llama-3.3-nemotron-super-49b-v1": 0.90,
    "llama3-chatqa-1.5-70b": 0.90,
}
"""List prices of tokens in LLMRouter's `default_llm.json` at ebdba86. Its answers have no lengths: a cost is
that of the prompts."""


def choices(data: Dataset, unseen: Unseen, prior: FloatArray, tasks: Sequence[str]) -> dict[str, Any] | None:
    """Figures over the prompts of some tasks that all models answered: means over the groups of models.

    None where no group has two of them. `prior` (M,) is of the models.
    """
    rows = rows_of(data, tasks)
    models = np.flatnonzero(np.isfinite(data.quality[rows]).mean(axis=0) > OFTEN) if len(rows) else rows
    rows = rows[np.isfinite(data.quality[rows][:, models]).all(axis=1)]
    groups = [models[unseen.group[models] == group] for group in np.unique(unseen.group)]
    each = [_figures(data, unseen.quality, prior, rows, group) for group in groups if len(group) > 1]
    if not each:
        return None
    names = [name for name in each[0] if all(name in figures for figures in each)]
    return {
        "prompts": len(rows),
        "models": [len(group) for group in groups],
        **{name: round(float(np.mean([figures[name] for figures in each])), 4) for name in names},
    }


def _figures(
    data: Dataset, predicted: FloatArray, prior: FloatArray, rows: IntArray, models: IntArray
) -> dict[str, float]:
    """Those of one group of models."""
    quality, told = data.quality[rows][:, models], predicted[rows][:, models]
    by_prior, expected = int(prior[models].argmax()), int(told.mean(axis=0).argmax())
    ways = {
        "argmax": quality[np.arange(len(rows)), told.argmax(axis=1)],
        "best_by_prior": quality[:, by_prior],
        "best_expected": quality[:, expected],
        "best_single": quality[:, quality.mean(axis=0).argmax()],
        "oracle": quality.max(axis=1),
    }
    figures: dict[str, float] = {name: float(values.mean()) for name, values in ways.items()}
    if (usd := _usd(data, rows, models)) is not None:
        qualities, costs = (values.mean(axis=1) for values in curve_of(quality, told, usd))
        for name, model in (("best_by_prior", by_prior), ("best_expected", expected)):
            reached = cost_at(qualities, costs, float(quality[:, model].mean()))
            figures[f"cost_of_{name}"] = 1.0 if math.isnan(reached) else reached / float(usd[:, model].mean())
    return figures


def _usd(data: Dataset, rows: IntArray, models: IntArray) -> FloatArray | None:
    """(R, M) of the prompts; None where a model has no price."""
    prices = [USD_PER_MILLION.get(data.models[at], math.nan) for at in models]
    if not np.isfinite(prices).all():
        return None
    tokens = np.array([[data.prompts[at].input_tokens] for at in rows], dtype=np.float64)
    usd: FloatArray = tokens * np.array(prices) / 1e6
    return usd
