"""Spend logs out of a file, as frames of texts, a few ten thousand rows at a time.

JSON lines are parsed by polars, their short columns only: what is long is fetched in the end, for the rows
that are used. A block that polars refuses (a line that is cut, no JSON, a page of rows) is read line by line.
"""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from rb_litellm.logs.rows import COLUMNS, LONG, NEEDED, SHORT, SpendLogsError, as_text, frame_of, texts_of
from rb_litellm.logs.sources.files import LogFileError, csv_rows, form_of_file, open_bytes, open_text
from rb_litellm.logs.sources.json_values import LISTS, Unreadable, rows_of_value, values_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 1 << 23
"""Bytes of JSON lines that are parsed at once."""
_ROWS = 20_000
_UTF8_MARK = b"\xef\xbb\xbf"
_NESTED = (b"]" * 16, b"}" * 16, b"}]" * 8)
"""How a deeply nested value ends: polars ends the whole process at a few thousand levels."""
_PARSED = dict.fromkeys((*SHORT, *LISTS), pl.String)
_Row = tuple[int, "tuple[str | None, ...] | None", "str | None"]


def frames_of_file(path: Path) -> Iterator[pl.DataFrame]:
    """All rows of the file.

    Raises:
        SpendLogsError: the file is missing, of another kind, or no table of spend logs.
    """
    try:
        form = form_of_file(path)
        if form == "lines":
            yield from _lines(path)
        elif form == "parquet":
            yield from _parquet(path)
        else:
            yield from _one_by_one(_csv(path) if form == "csv" else _values(path))
    except LogFileError as error:
        raise SpendLogsError(f"{error}; allowed is also a postgresql:// URL") from None
    except (OSError, zlib.error) as error:
        raise SpendLogsError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None


def long_columns(path: Path, places: Sequence[int]) -> Iterator[tuple[str | None, ...]]:
    """The columns LONG of the rows of JSON lines that begin at these places, which rise."""
    with open_bytes(path) as file:
        for place in places:
            file.seek(place)
            yield _long(file.readline())


def _long(line: bytes) -> tuple[str | None, ...]:
    try:
        row = json.loads(line)
        return tuple(as_text(row.get(name)) for name in LONG)
    except (ValueError, RecursionError):  # What polars reads may be nested too deeply for Python.
        return (None,) * len(LONG)


def _one_by_one(rows: Iterator[_Row]) -> Iterator[pl.DataFrame]:
    while some := list(islice(rows, _ROWS)):
        yield frame_of(some)


def _lines(path: Path) -> Iterator[pl.DataFrame]:
    number, place = 0, 0
    with open_bytes(path) as file:
        if file.read(3) == _UTF8_MARK:
            place = 3
        file.seek(place)
        while block := file.read(_BLOCK):
            block += file.readline()
            frame = _parsed(block, number, place)
            if frame is None:
                frame = frame_of(list(_told(block, number)))
            number += frame.height
            place += len(block)
            yield frame


def _parsed(block: bytes, number: int, place: int) -> pl.DataFrame | None:
    """The block's rows, None where polars cannot read each of its lines as one."""
    if any(mark in block for mark in _NESTED):
        return None
    ends = np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 10)
    starts: NDArray[np.int64] = np.concatenate([[0], ends + 1])
    lengths = np.diff(np.concatenate([starts, [len(block)]]))
    starts = starts[lengths > 1]
    try:
        frame = pl.read_ndjson(io.BytesIO(block), schema=_PARSED)
    except pl.exceptions.PolarsError:
        return None
    if frame.height != starts.size or any(frame[name].null_count() < frame.height for name in LISTS):
        return None
    return frame.select(
        pl.int_range(number + 1, number + 1 + frame.height, dtype=pl.Int64).alias("row"),
        pl.Series("at", starts + place, dtype=pl.Int64),
        pl.lit(None, dtype=pl.String).alias("broken"),
        *(pl.col(name) for name in SHORT),
        *(pl.lit(None, dtype=pl.String).alias(name) for name in LONG),
    )


def _told(block: bytes, number: int) -> Iterator[_Row]:
    for line in block.split(b"\n"):
        if not line.strip():
            continue
        try:
            # A line out of a list still has the comma behind it.
            values = rows_of_value(json.loads(line.decode("utf-8", "replace").rstrip().rstrip(",")))
        except (ValueError, RecursionError) as error:
            number += 1
            yield number, None, f"no JSON, or a line that is cut ({error})"
            continue
        for value in values:
            number += 1
            yield _row(number, value)


def _row(number: int, value: Any) -> _Row:
    if isinstance(value, Mapping):
        return number, texts_of(value), None
    return number, None, f"is {type(value).__name__}; allowed is an object"


def _values(path: Path) -> Iterator[_Row]:
    number = 0
    with open_text(path) as text:
        try:
            for value in values_of(text):
                for row in rows_of_value(value):
                    number += 1
                    yield _row(number, row)
        except (Unreadable, RecursionError) as error:
            yield number + 1, None, f"no JSON, or a text that is cut ({error})"


def _csv(path: Path) -> Iterator[_Row]:
    with open_text(path) as text:
        names, rows = csv_rows(text)
        at = {name.lower(): n for n, name in enumerate(names)}
        if missing := [name for name in NEEDED if name.lower() not in at]:
            if not names:
                return
            raise SpendLogsError(
                f"{path}: its first line lacks {', '.join(missing)}; "
                "allowed are the columns of LiteLLM_SpendLogs"
            )
        places = [at.get(name.lower()) for name in COLUMNS]
        number = 0
        try:
            for row in rows:
                if not row:
                    continue
                number += 1
                if len(row) != len(names):
                    yield (
                        number,
                        None,
                        f"has {len(row)} fields where the header has {len(names)}; is it cut?",
                    )
                    continue
                yield number, tuple(_field(row, place) for place in places), None
        except csv.Error as error:
            yield number + 1, None, f"no CSV ({error})"


def _field(row: Sequence[str], place: int | None) -> str | None:
    value = None if place is None else row[place]
    return None if value in ("", "\\N", "NULL") else value


def _parquet(path: Path) -> Iterator[pl.DataFrame]:
    try:
        scan = pl.scan_parquet(path)
        schema = scan.collect_schema()
        if missing := [name for name in NEEDED if name not in schema]:
            raise SpendLogsError(f"{path}: lacks {', '.join(missing)}")
        nested = [name for name in COLUMNS if name in schema and schema[name].is_nested()]
        rows = int(scan.select(pl.len()).collect().item())
        for start in range(0, rows, _ROWS):
            part = (
                scan.select(name for name in COLUMNS if name in schema)
                .slice(start, _ROWS)
                .collect(engine="streaming")
            )
            yield part.select(
                pl.int_range(start + 1, start + 1 + part.height, dtype=pl.Int64).alias("row"),
                pl.lit(None, dtype=pl.Int64).alias("at"),
                pl.lit(None, dtype=pl.String).alias("broken"),
                *(_text_column(part, name, nested) for name in COLUMNS),
            )
    except pl.exceptions.PolarsError as error:
        raise SpendLogsError(f"{path}: cannot be read ({error})") from None


def _text_column(part: pl.DataFrame, name: str, nested: Sequence[str]) -> pl.Series:
    if name not in part.columns:
        return pl.Series(name, [None] * part.height, dtype=pl.String)
    column = part[name]
    if name in nested:
        return pl.Series(name, [as_text(value) for value in column.to_list()], dtype=pl.String)
    if column.dtype == pl.Datetime:
        if column.dtype.time_zone is not None:
            column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return column.dt.strftime("%Y-%m-%dT%H:%M:%S%.f")
    return column.cast(pl.String)
