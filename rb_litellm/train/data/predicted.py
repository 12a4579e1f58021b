"""The rows of `routebalance predict`: what is expected of each model for each prompt of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rb_litellm.core.types import Prompt
from rb_litellm.logs.sources.files import rows_of_file
from rb_litellm.logs.wrong_rows import WrongRows
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.train.data.dataset import DataError, id_of, prompt_of_row

BATCH = 256


def prompts_of_file(path: Path) -> Iterator[tuple[str, Prompt]]:
    """The prompts of a file in its order, each with the row's `prompt_id`, or else one made of its text.

    Raises:
        DataError: at the end, where there are no rows, or too many without a prompt; names them.
        LogFileError: the file cannot be read.
    """
    wrong, rows = WrongRows(DataError), 0
    for line, row in rows_of_file(path):
        try:
            prompt = prompt_of_row(row)
        except ValueError as error:
            wrong.add(f"{path}:{line}", error)
            continue
        rows += 1
        given = row["prompt_id"] if isinstance(row, Mapping) and "prompt_id" in row else None
        yield (id_of(prompt) if given in (None, "") else str(given)), prompt
    wrong.check(rows)
    if not rows:
        raise DataError(f"{path}: has no rows; each needs `prompt` or `messages`")


def predicted_rows(
    source: PredictionSource, prompts: Iterable[tuple[str, Prompt]], models: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """One row per prompt, in order: its kind, how certain that is, and what is expected of each model.

    `low` and `high` hold 80 % of the lengths. The default predictor tells the kind, whatever `source` is.
    """
    infos = [ModelInfo(key=name, model=name) for name in models]
    reader = packaged()
    left = iter(prompts)
    while batch := list(islice(left, BATCH)):
        told = source.predict([prompt for _, prompt in batch], infos)
        assert told.length_quantiles is not None
        read = reader.tell([prompt for _, prompt in batch], infos[:1])
        for r, (prompt_id, _) in enumerate(batch):
            figures = zip(
                told.quality[r], told.output_tokens[r], told.length_quantiles[r][:, [0, -1]], strict=True
            )
            yield {
                "prompt_id": prompt_id,
                "kind": read.kinds[r],
                "certainty": round(float(read.certainty[r]), 4),
                "models": {
                    name: _figures(quality, tokens, spread)
                    for name, (quality, tokens, spread) in zip(models, figures, strict=True)
                },
            }


def _figures(quality: float, tokens: float, spread: np.ndarray[Any, Any]) -> Mapping[str, float]:
    return {
        "quality": round(float(quality), 5),
        "output_tokens": round(float(tokens), 1),
        "low": round(float(spread[0]), 1),
        "high": round(float(spread[1]), 1),
    }
