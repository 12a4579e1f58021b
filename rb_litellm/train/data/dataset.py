"""Graded answers as arrays: one row per prompt, one column per model, read from files.

Files are JSON lines, a JSON list, CSV or Parquet. A row has `prompt` or `messages`,
`model`, `quality` in [0, 1] and `output_tokens`; either label may be null or absent. Optional columns:
`max_tokens` (the limit the answer was written under) and `task` (a name: training tells tasks apart).

Wrong rows are left out (`logs.wrong_rows`): one bad row ends no run, and a column of percents trains nobody.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import MAX_TOKENS, FloatArray, Prompt
from rb_litellm.excerpt import excerpt
from rb_litellm.litellm_adapter.request.body.prompt import read_prompt
from rb_litellm.logs.sources.files import LogFileError, rows_of_file
from rb_litellm.logs.wrong_rows import WrongRows

MAX_MODELS = 512


class DataError(ValueError):
    """Training data that cannot be used; names wrong rows by file and line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer to one prompt, graded or not."""

    prompt: Prompt
    model: str
    quality: float | None
    """In [0, 1], None where nobody graded it."""
    output_tokens: float | None
    task: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """P prompts with the labels of M models."""

    prompts: tuple[Prompt, ...]
    prompt_ids: tuple[str, ...]
    """First 16 hex digits of the SHA-256 of the text."""
    tasks: tuple[str, ...]
    """Name of each prompt's task, empty where the data have none."""
    models: tuple[str, ...]
    quality: FloatArray
    """(P, M), NaN where not labelled; several answers of one model to one prompt are averaged."""
    output_tokens: FloatArray
    """(P, M), NaN where not labelled."""
    rows: int
    sha256: str
    """Of the files' bytes, in the order given; empty for a part of a data set."""
    wrong: int = 0
    """Rows that were left out; 0 for a part of a data set."""

    def take(self, index: npt.NDArray[np.int64]) -> Dataset:
        """The given prompts only, in that order, with all models."""
        return Dataset(
            prompts=tuple(self.prompts[i] for i in index),
            prompt_ids=tuple(self.prompt_ids[i] for i in index),
            tasks=tuple(self.tasks[i] for i in index),
            models=self.models,
            quality=self.quality[index],
            output_tokens=self.output_tokens[index],
            rows=int(
                np.count_nonzero(np.isfinite(self.quality[index]) | np.isfinite(self.output_tokens[index]))
            ),
            sha256="",
        )

    def for_models(self, models: Sequence[str]) -> Dataset:
        """All prompts, with the columns of `models`; NaN for models that the data do not have."""
        column = {name: i for i, name in enumerate(self.models)}
        shape = (len(self.prompts), len(models))
        quality, output_tokens = np.full(shape, np.nan), np.full(shape, np.nan)
        for j, name in enumerate(models):
            if name in column:
                quality[:, j] = self.quality[:, column[name]]
                output_tokens[:, j] = self.output_tokens[:, column[name]]
        return Dataset(
            self.prompts,
            self.prompt_ids,
            self.tasks,
            tuple(models),
            quality,
            output_tokens,
            self.rows,
            self.sha256,
        )


def read_dataset(paths: Sequence[str | Path], answers: Iterable[Answer] = ()) -> Dataset:
    """Read and check all rows of all files; `answers` of a log count like rows.

    Raises:
        DataError: a file that cannot be read, or too many rows that are wrong, named as `file:line`.
    """
    builder = _Builder()
    digest = hashlib.sha256()
    for path in map(Path, paths):
        digest.update(_read_file(path, builder))
    for answer in answers:
        builder.hold("spend logs", answer)
        digest.update(repr(answer).encode("utf-8", "surrogatepass"))
    return builder.build(digest.hexdigest())


def _read_file(path: Path, builder: _Builder) -> bytes:
    try:
        for line, row in rows_of_file(path, whole=True):
            builder.add(f"{path}:{line}", row)
        return path.read_bytes()
    except LogFileError as error:
        raise DataError(str(error)) from None


class _Builder:
    def __init__(self) -> None:
        self.wrong = WrongRows(DataError)
        self.rows = 0
        self.prompts: dict[str, tuple[Prompt, str]] = {}
        self.models: dict[str, None] = {}
        self.labels: dict[tuple[str, str], tuple[list[float], list[float]]] = {}

    def add(self, where: str, row: object) -> None:
        try:
            prompt = prompt_of_row(row)
            model, quality, tokens = _labels(row)
        except ValueError as error:
            self.wrong.add(where, error)
            return
        assert isinstance(row, Mapping)
        task = row.get("task")
        self.hold(where, Answer(prompt, model, quality, tokens, task if isinstance(task, str) else ""))

    def hold(self, where: str, answer: Answer) -> None:
        self.rows += 1
        text_id = id_of(answer.prompt)
        self.prompts.setdefault(text_id, (answer.prompt, answer.task))
        self.models[answer.model] = None
        if len(self.models) > MAX_MODELS:
            raise DataError(f"{where}: more than {MAX_MODELS} different models")
        held = self.labels.setdefault((text_id, answer.model), ([], []))
        for labels, value in zip(held, (answer.quality, answer.output_tokens), strict=True):
            if value is not None:
                labels.append(value)

    def build(self, sha256: str) -> Dataset:
        self.wrong.check(self.rows)
        if not self.rows:
            raise DataError(
                "no rows; each needs `prompt` or `messages`, `model`, `quality` and `output_tokens`"
            )
        # Sorted, so that the order of the rows changes nothing of what is trained.
        ids, models = sorted(self.prompts), sorted(self.models)
        at = {text_id: i for i, text_id in enumerate(ids)}
        column = {model: j for j, model in enumerate(models)}
        quality, tokens = np.full((len(ids), len(models)), np.nan), np.full((len(ids), len(models)), np.nan)
        for (text_id, model), (qualities, lengths) in self.labels.items():
            if qualities:
                quality[at[text_id], column[model]] = math.fsum(qualities) / len(qualities)
            if lengths:
                tokens[at[text_id], column[model]] = math.fsum(lengths) / len(lengths)
        return Dataset(
            prompts=tuple(self.prompts[i][0] for i in ids),
            prompt_ids=tuple(ids),
            tasks=tuple(self.prompts[i][1] for i in ids),
            models=tuple(models),
            quality=quality,
            output_tokens=tokens,
            rows=self.rows,
            sha256=sha256,
            wrong=self.wrong.count,
        )


def id_of(prompt: Prompt) -> str:
    """The name of a prompt: the first 16 hex digits of the SHA-256 of its text."""
    return hashlib.sha256(prompt.text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def prompt_of_row(row: object) -> Prompt:
    """The prompt of a row with `prompt` or `messages`.

    Raises:
        ValueError: it has neither; says what is there and what is allowed.
    """
    if isinstance(row, ValueError):
        raise row
    if not isinstance(row, Mapping):
        raise ValueError(f"is {type(row).__name__}; allowed is an object with `prompt` or `messages`")
    if "prompt" not in row and "messages" not in row:
        held = excerpt(", ".join(map(str, row)))
        raise ValueError(f"has neither `prompt` nor `messages`; one of them is needed, and there is {held}")
    messages = row.get("messages")
    if isinstance(messages, str) and messages:
        try:
            messages = json.loads(messages)
        except (ValueError, RecursionError):
            raise ValueError(f"messages is {messages[:40]!r}; allowed is a JSON list of messages") from None
    if messages in (None, ""):
        prompt = row.get("prompt")
        if not isinstance(prompt, str):
            raise ValueError(f"prompt is {excerpt(prompt)}; allowed is a text (or give `messages`)")
        messages = [{"role": "user", "content": prompt}]
    elif not isinstance(messages, list):
        raise ValueError(f"messages is {excerpt(messages)}; allowed is a list of messages")
    return read_prompt(messages, None, {"max_tokens": number_in_row(row, "max_tokens"), **_extras(row)})


def _extras(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("tools", "response_format") if row.get(name) is not None}


def _labels(row: object) -> tuple[str, float | None, float | None]:
    assert isinstance(row, Mapping)
    model = row.get("model")
    if not isinstance(model, str) or not model:
        raise ValueError(f"model is {excerpt(model)}; allowed is a name")
    quality, tokens = number_in_row(row, "quality"), number_in_row(row, "output_tokens")
    if quality is not None and not 0.0 <= quality <= 1.0:
        raise ValueError(f"quality is {quality:g}; allowed is a number from 0 to 1, or null")
    if tokens is not None and not 0.0 <= tokens <= MAX_TOKENS:
        raise ValueError(f"output_tokens is {tokens:g}; allowed is a number from 0 to {MAX_TOKENS}, or null")
    return model, quality, tokens


def number_in_row(row: Mapping[str, Any], name: str) -> float | None:
    """A column's number, None without one.

    Raises:
        ValueError: it is something else.
    """
    value: Any = row.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str):
        # CSV knows texts only.
        with suppress(ValueError):
            value = float(value)
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not known or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} is {excerpt(value)}; allowed is a number, or null")
    return float(value)
