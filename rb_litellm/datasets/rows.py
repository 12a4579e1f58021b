"""A row of graded answers, and what all sets need to make them from others' files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, TypedDict, TypeVar

from rb_litellm.datasets.repository import Files, SourceError
from rb_litellm.predictors.reading.tokens import cl100k_base

_T = TypeVar("_T")


class GradedRow(TypedDict):
    """One model's answer to one prompt, as `train`, `evaluate` and `predict` read it."""

    prompt_id: str
    """First 16 hex digits of the SHA-256 of the prompt."""
    task: str
    prompt: str
    model: str
    quality: float
    """From 0 to 1."""
    input_tokens: int
    """In cl100k_base, of the whole prompt."""
    output_tokens: int | None
    """None where the source has no text of the answer."""


def prompt_id(prompt: str) -> str:
    """The name of a prompt in all files."""
    return hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def graded(
    task: str, prompt: str, model: str, quality: float, output: str | None, tokens: Tokens
) -> GradedRow:
    """A row, with its lengths counted."""
    return {
        "prompt_id": prompt_id(prompt),
        "task": task,
        "prompt": prompt,
        "model": model,
        "quality": quality,
        "input_tokens": tokens.of_prompt(prompt),
        "output_tokens": None if output is None else tokens.of(output),
    }


class Tokens:
    """Counts tokens of cl100k_base exactly, of each prompt once."""

    def __init__(self) -> None:
        found = cl100k_base()
        if found is None:
            raise SourceError("the vocabulary of cl100k_base cannot be read; LiteLLM ships it")
        self._encode = found.encode
        self.of_prompt = cache(self.of)

    def of(self, text: str) -> int:
        """Tokens of a text; special tokens count as the text they are written with."""
        return len(self._encode(text, disallowed_special=()))


def read_list(files: Files, path: str) -> list[Any]:
    """A JSON file that holds a list.

    Raises:
        SourceError: it cannot be had, or holds something else.
    """
    found = _parsed(files.read(path), path)
    if not isinstance(found, list):
        raise SourceError(f"{path}: holds {type(found).__name__}; allowed is a list")
    return found


def read_lines(files: Files, path: str) -> Iterator[tuple[str, Any]]:
    """The values of a file of JSON lines, each with its place for an error.

    Raises:
        SourceError: it cannot be had, or a line is no JSON.
    """
    for number, line in enumerate(files.read(path).split(b"\n"), start=1):
        if line.strip():
            where = f"{path}, row {number}"
            yield where, _parsed(line, where)


def _parsed(content: bytes, where: str) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise SourceError(f"{where}: is no JSON ({error})") from None


def field(row: Any, name: str, kind: type[_T], where: str) -> _T:
    """A field of a row, of the kind that it must have.

    Raises:
        SourceError: names file, row, field, what is there and what is allowed.
    """
    if not isinstance(row, Mapping):
        raise SourceError(f"{where}: is {type(row).__name__}; allowed is an object")
    value = row.get(name)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        told = repr(value)[:60] if name in row else "missing"
        raise SourceError(f"{where}: `{name}` is {told}; allowed is {_WORDS[kind]}")
    return value


_WORDS: dict[type[Any], str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}
