"""The rows of a recorded trace: when requests arrived, and how long they and their answers were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rb_litellm.excerpt import excerpt
from rb_litellm.logs.sources.files import rows_of_file
from rb_litellm.logs.wrong_rows import WrongRows
from rb_litellm.train.data.dataset import DataError, number_in_row

MOST_TOKENS = 1 << 20
"""Of a prompt or an answer."""


def rows_of_trace(path: Path, most: int | None = None, blocks: bool = False) -> list[Mapping[str, Any]]:
    """Rows of a file in its order, `most` of them at most, with arrival_s, input_tokens and output_tokens.

    Lengths are None where the row has neither; with `blocks` it has them, above 0, and `prefix_blocks`. A
    wrong row is left out and named, see `WrongRows`.

    Raises:
        ValueError: the file cannot be read, or too many rows are wrong; names them.
    """
    wrong = WrongRows(DataError)
    rows: list[Mapping[str, Any]] = []
    for number, row in rows_of_file(path, whole=True):
        if most is not None and len(rows) == most:
            break
        try:
            rows.append(_row(row, blocks))
        except ValueError as error:
            wrong.add(f"{path}:{number}", error)
    wrong.check(len(rows))
    return rows


def _row(row: Mapping[str, Any] | ValueError, blocks: bool) -> Mapping[str, Any]:
    if isinstance(row, ValueError):
        raise row
    arrival_s = number_in_row(row, "arrival_s")
    if arrival_s is None:
        raise ValueError(f"arrival_s is {excerpt(row.get('arrival_s'))}; allowed is a number, in seconds")
    told = {"arrival_s": arrival_s, **dict(_lengths(row, 1 if blocks else 0))}
    if not blocks:
        return told
    if told["input_tokens"] is None:
        raise ValueError("input_tokens is missing, and needed")
    ids = row.get("prefix_blocks")
    if not (isinstance(ids, list) and all(isinstance(one, int) and not isinstance(one, bool) for one in ids)):
        raise ValueError(f"prefix_blocks is {excerpt(ids)}; allowed is a list of whole numbers")
    return {**told, "prefix_blocks": ids}


def _lengths(row: Mapping[str, Any], least: int) -> Iterator[tuple[str, int | None]]:
    names = ("input_tokens", "output_tokens")
    lengths = [number_in_row(row, name) for name in names]
    for name, tokens in zip(names, lengths, strict=True):
        if tokens is None and lengths != [None, None]:
            raise ValueError(f"{name} is missing; allowed are both lengths, or none")
        if tokens is not None and not (least <= tokens <= MOST_TOKENS and tokens.is_integer()):
            raise ValueError(f"{name} is {tokens:g}; allowed is a whole number from {least} to {MOST_TOKENS}")
        yield name, None if tokens is None else int(tokens)
