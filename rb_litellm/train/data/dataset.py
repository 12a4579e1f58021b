"""Graded answers as arrays: one row per prompt, one column per model, read from files.

Files are JSON lines (`.jsonl`, `.ndjson`, also `.gz`), CSV or Parquet. A row has `prompt` or `messages`,
`model`, `quality` in [0, 1] and `output_tokens`; either label may be null or absent. Optional columns:
`max_tokens` (the limit the answer was written under) and `task` (a name: training tells tasks apart).

A wrong row is left out, and a warning names it. Where more than MOST_WRONG of all rows are wrong the file is
taken to be of another form, and that is an error: one bad row ends no run over a million, and a column of
percents trains nobody.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import math
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import FloatArray, Prompt
from rb_litellm.excerpt import excerpt
from rb_litellm.litellm_adapter.request.prompt import read_prompt

_log = logging.getLogger("rb_litellm")

MAX_PROBLEMS = 10
"""Wrong rows that one error or warning names."""
MOST_WRONG = 0.01
"""Share of all rows that may be wrong."""
MAX_TOKENS = 10_000_000
"""More output tokens than any answer has."""
MAX_MODELS = 512
_JSON_LINES = (".jsonl", ".ndjson", ".json")


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
        for line, row in _rows(path):
            builder.add(f"{path}:{line}", row)
        return path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def _rows(path: Path) -> Iterator[tuple[int, object]]:
    """Rows with their line in the file; an undecodable line is given as the ValueError it raised."""
    name = path.name.removesuffix(".gz")
    if name.endswith(_JSON_LINES):
        with gzip.open(path, "rb") if path.name.endswith(".gz") else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    try:
                        yield number, json.loads(line)
                    except (ValueError, RecursionError) as error:
                        yield number, ValueError(f"is not JSON ({error})")
        return
    if not name.endswith((".csv", ".parquet")):
        raise DataError(
            f"{path}: unknown kind of file; "
            "allowed are .jsonl, .ndjson, .json (each also .gz), .csv and .parquet"
        )
    try:
        import polars
    except ImportError:
        raise DataError(f"{path}: reading this needs polars; install 'rb_litellm[train]'") from None
    try:
        if name.endswith(".csv"):
            frame = polars.read_csv(path, infer_schema_length=None)
        else:
            frame = polars.read_parquet(path)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    # The header of a CSV file is its line 1; of Parquet the first row is called 1.
    for number, row in enumerate(frame.iter_rows(named=True), start=2 if name.endswith(".csv") else 1):
        yield number, row


class _Builder:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.wrong = 0
        self.rows = 0
        self.prompts: dict[str, tuple[Prompt, str]] = {}
        self.models: dict[str, None] = {}
        self.labels: dict[tuple[str, str], tuple[list[float], list[float]]] = {}

    def add(self, where: str, row: object) -> None:
        try:
            prompt = prompt_of_row(row)
            model, quality, tokens = _labels(row)
        except ValueError as error:
            self.wrong += 1
            if len(self.problems) < MAX_PROBLEMS:
                self.problems.append(f"{where}: {error}")
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

    def check(self) -> None:
        """Raise, or warn, of wrong rows."""
        if not self.wrong:
            return
        told, read = "\n".join(self.problems), self.rows + self.wrong
        if self.wrong > len(self.problems):
            told += f"\n(and {self.wrong - len(self.problems)} more)"
        share = f"{self.wrong} of {read} rows are wrong"
        if self.wrong > MOST_WRONG * read:
            raise DataError(f"{told}\n{share}; allowed are {MOST_WRONG:.0%}, which are left out")
        _log.warning("%s\n%s, and left out", told, share)

    def build(self, sha256: str) -> Dataset:
        self.check()
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
            wrong=self.wrong,
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
    messages = row.get("messages")
    if isinstance(messages, str) and messages:
        try:
            messages = json.loads(messages)
        except ValueError:
            raise ValueError(f"messages is {messages[:40]!r}; allowed is a JSON list of messages") from None
    if messages is None:
        prompt = row.get("prompt")
        if not isinstance(prompt, str):
            raise ValueError(f"prompt is {excerpt(prompt)}; allowed is a text (or give `messages`)")
        messages = [{"role": "user", "content": prompt}]
    elif not isinstance(messages, list):
        raise ValueError(f"messages is {excerpt(messages)}; allowed is a list of messages")
    limit = row.get("max_tokens")
    return read_prompt(messages, None, {"max_tokens": limit, **_extras(row)})


def _extras(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("tools", "response_format") if row.get(name) is not None}


def _labels(row: object) -> tuple[str, float | None, float | None]:
    assert isinstance(row, Mapping)
    model = row.get("model")
    if not isinstance(model, str) or not model:
        raise ValueError(f"model is {excerpt(model)}; allowed is a name")
    quality, tokens = _number(row, "quality"), _number(row, "output_tokens")
    if quality is not None and not 0.0 <= quality <= 1.0:
        raise ValueError(f"quality is {quality:g}; allowed is a number from 0 to 1, or null")
    if tokens is not None and not 0.0 <= tokens <= MAX_TOKENS:
        raise ValueError(f"output_tokens is {tokens:g}; allowed is a number from 0 to {MAX_TOKENS}, or null")
    return model, quality, tokens


def _number(row: Mapping[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not known or not abs(value) <= sys.float_info.max:
        raise ValueError(f"{name} is {excerpt(value)}; allowed is a number, or null")
    return float(value)
