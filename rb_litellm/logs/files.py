"""Rows of an exported table: JSON lines, a JSON list, CSV or Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class LogFileError(ValueError):
    """A file whose rows cannot be read; names it and what is allowed."""


def rows_of_file(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Rows as mappings, numbered from 1.

    Raises:
        LogFileError: the file is missing, of another kind, or a row is no mapping.
    """
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    readers = {"jsonl": _json_lines, "ndjson": _json_lines, "json": _json, "csv": _csv, "parquet": _parquet}
    if kind not in readers:
        raise LogFileError(
            f"{path}: unknown kind of file; allowed are .jsonl, .ndjson, .json, .csv, .parquet"
        )
    try:
        for number, row in enumerate(readers[kind](path), start=1):
            if not isinstance(row, Mapping):
                raise LogFileError(f"{path}, row {number}: is {type(row).__name__}; allowed is an object")
            yield number, row
    except OSError as error:
        raise LogFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    except LogFileError:
        raise
    except ValueError as error:
        raise LogFileError(f"{path}: cannot be read ({error})") from None


def _text(path: Path) -> io.TextIOBase:
    raw = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # noqa: SIM115  closed by the wrapper
    return io.TextIOWrapper(raw, encoding="utf-8", newline="")


def _json_lines(path: Path) -> Iterator[Any]:
    with _text(path) as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _json(path: Path) -> Iterator[Any]:
    with _text(path) as file:
        first = file.read(1)
        while first.isspace():
            first = file.read(1)
    if first != "[":
        yield from _json_lines(path)
        return
    with _text(path) as file:
        yield from json.load(file)


def _csv(path: Path) -> Iterator[Any]:
    csv.field_size_limit(min(sys.maxsize, 1 << 30))  # stored requests are long
    with _text(path) as file:
        yield from csv.DictReader(file)


def _parquet(path: Path) -> Iterator[Any]:
    try:
        import polars
    except ImportError:
        raise LogFileError(f"{path}: reading this needs polars; install 'rb_litellm[train]'") from None
    try:
        yield from polars.read_parquet(path).iter_rows(named=True)
    except polars.exceptions.PolarsError as error:
        raise LogFileError(f"{path}: cannot be read ({error})") from None
