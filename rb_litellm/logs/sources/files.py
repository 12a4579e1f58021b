"""Files that hold a table: how they are opened, and their rows one by one.

JSON lines, JSON (a list, or a page of LiteLLM's endpoints), CSV and Parquet; each but the last also packed
with gzip. Byte-order marks, and the UTF-16 that Windows' shells write, are taken as they come.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import logging
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, cast

from rb_litellm.logs.sources.json_values import Unreadable, values_of

Form = Literal["lines", "values", "csv", "parquet"]
_KINDS = ("jsonl", "ndjson", "json", "log", "txt", "csv", "tsv", "parquet")
_PEEK = 1 << 16
_UTF8_MARK = b"\xef\xbb\xbf"
_GZIP_MARK = b"\x1f\x8b"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF32_MARKS = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")
_PARQUET_MARK = b"PAR1"
_FOREIGN = (
    (re.compile(rb"\x28\xb5\x2f\xfd"), "packed with zstd"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "packed with bzip2"),
    (re.compile(rb"\xfd7zXZ\0"), "packed with xz"),
    (re.compile(_GZIP_MARK), "packed twice"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive, or a spreadsheet's own file"),
    (re.compile(rb"SQLite format 3\0"), "a database of SQLite"),
)
"""How files begin that are called like one of ours and are none."""

_log = logging.getLogger("rb_litellm")


class LogFileError(ValueError):
    """A file whose rows cannot be read; names it and what is allowed."""


def form_of_file(path: Path, whole: bool = False) -> Form:
    """How the rows stand in the file, by its name and its first bytes. Parquet is known by these alone.

    With `whole`, a packed file whose beginning is cut is an error.

    Raises:
        LogFileError: the file is missing or of another kind.
    """
    if path.is_dir():
        raise LogFileError(f"{path}: is a folder; allowed is a file")
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in _KINDS:
        raise LogFileError(
            f"{path}: unknown kind of file; allowed are {', '.join('.' + one for one in _KINDS)}"
        )
    try:
        with open_bytes(path, whole) as file:
            start = file.read(_PEEK)
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from None
    if kind == "parquet" or start.startswith(_PARQUET_MARK):
        _look_for_packing(path)
        return "parquet"
    if told := _foreign(start):
        raise LogFileError(
            f"{path}: is {told}; allowed are text in UTF-8, as it is or packed with gzip, and Parquet"
        )
    if not start.startswith(_UTF16_MARKS):
        _look_for_utf8(path, start)
    if kind in ("csv", "tsv"):
        return "csv"
    if start.startswith(_UTF16_MARKS):
        return "values"
    start = start.removeprefix(_UTF8_MARK).lstrip()
    first, end, _ = start.partition(b"\n")
    # A line of an object that is whole is a row or a page; what else begins so is laid out over lines.
    is_whole = first.startswith(b"{") and first.rstrip().endswith(b"}") and bool(end)
    return "lines" if is_whole or (kind != "json" and not first.startswith(b"[")) else "values"


def _look_for_packing(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(2) == _GZIP_MARK:
            raise LogFileError(f"{path}: is Parquet packed with gzip; allowed is Parquet as it is")


def _foreign(start: bytes) -> str:
    """What a file is that begins so, if nothing that is read; empty otherwise."""
    if start.startswith(_UTF32_MARKS):
        return "in UTF-32"
    if start.startswith(_UTF16_MARKS):
        return ""
    # In Latin text each second byte is zero there, or three in four; zeros of a lost block stand together.
    places = [start[place:64:4] for place in range(4)]
    if any(part and not any(part) for part in places) and any(all(part) for part in places):
        return "in UTF-16 or UTF-32 without a byte-order mark"
    return next((what for begins, what in _FOREIGN if begins.match(start)), "")


def _unreadable(path: Path, error: Exception) -> LogFileError:
    packed = isinstance(error, (EOFError, zlib.error, gzip.BadGzipFile))
    told = "the packed file is cut or damaged: " if packed else ""
    return LogFileError(f"{path}: cannot be read ({told}{getattr(error, 'strerror', None) or error})")


def _look_for_utf8(path: Path, start: bytes) -> None:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError as error:
        _tell_encoding(path, start.count(b"\n", 0, error.start) + 1)


@lru_cache(maxsize=256)
def _tell_encoding(path: Path, line: int) -> None:
    _log.warning(
        "%s:%d: has characters that are not UTF-8, which are lost; write the file in UTF-8 to keep them",
        path,
        line,
    )


def open_bytes(path: Path, whole: bool = False) -> IO[bytes]:
    """The file's bytes, unpacked where they are packed, whatever the file is called.

    Of a packed file that is cut, what comes before that place; with `whole`, reading it raises.
    """
    file = path.open("rb")
    packed = file.read(2) == _GZIP_MARK
    file.seek(0)
    if not packed:
        return file
    if not whole:
        return io.BufferedReader(_Unpacked(path, file))
    file.close()
    return cast("IO[bytes]", gzip.GzipFile(path))


@lru_cache(maxsize=256)
def _tell_repeated(path: Path, names: str) -> None:
    _log.warning("%s: the header has these names more than once, of which the last counts: %s", path, names)


class _Unpacked(io.RawIOBase):
    """What a packed file holds; of one that is cut or damaged, what comes before that place."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._content = gzip.GzipFile(fileobj=file)
        self._damaged = False

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._damaged:
            return 0
        try:
            part = self._content.read1(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            if not self._content.tell():
                raise gzip.BadGzipFile(str(error)) from None
            self._damaged = True
            _tell_damage(self._path, str(error))
            return 0
        buffer[: len(part)] = part
        return len(part)

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self._damaged = False
        return self._content.seek(place, whence)

    def tell(self) -> int:
        return self._content.tell()

    def close(self) -> None:
        self._file.close()
        super().close()


@lru_cache(maxsize=256)
def _tell_damage(path: Path, why: str) -> None:
    # Once for a file, which is opened more than once.
    _log.warning("%s: the packed file is cut or damaged (%s); what comes before that is read", path, why)


def open_text(path: Path, whole: bool = False) -> io.TextIOWrapper:
    """The file's text, without its byte-order mark; characters that are none are replaced."""
    with open_bytes(path, whole) as file:
        encoding = "utf-16" if file.read(2) in _UTF16_MARKS else "utf-8-sig"
    return io.TextIOWrapper(open_bytes(path, whole), encoding=encoding, errors="replace", newline="")


def csv_rows(text: io.TextIOBase) -> tuple[list[str], Iterator[Sequence[str]]]:
    """The header of a CSV text and its rows; the delimiter is the one that parts the header most."""
    csv.field_size_limit(min(sys.maxsize, 1 << 30))  # stored requests are long
    header = text.readline()
    # Spreadsheets write the delimiter into a line of its own, before the header.
    while header and (not header.strip() or header.startswith("sep=")):
        header = text.readline()
    delimiter = max(",;\t|", key=header.count)
    names = next(csv.reader([header], delimiter=delimiter), [])
    return [name.strip() for name in names], csv.reader(text, delimiter=delimiter)


def rows_of_file(path: Path, whole: bool = False) -> Iterator[tuple[int, Mapping[str, Any] | LogFileError]]:
    """Rows as mappings by the number of their line; in the place of one that is none, what is wrong with it.

    Of a list that is laid out over lines, of CSV below its header and of Parquet, rows are counted, CSV's
    from 2 on. With `whole`, a packed file that is cut is not read.

    Raises:
        LogFileError: the file is missing, of another kind, or cannot be read.
    """
    form = form_of_file(path, whole)
    read = {"parquet": _parquet, "csv": _csv, "lines": _lines, "values": _values}[form]
    number = 0
    try:
        for number, row in read(path, whole):
            if not isinstance(row, (Mapping, LogFileError)):
                row = LogFileError(f"is {type(row).__name__}; allowed is an object")
            yield number, row
    except (OSError, EOFError, zlib.error) as error:
        raise _unreadable(path, error) from None
    except (Unreadable, RecursionError, csv.Error) as error:
        yield number + 1, LogFileError(f"cannot be read ({error})")


def named_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Those rows that can be read; of the others, such as a line that a full disk has cut, a warning tells.

    Raises:
        LogFileError: as `rows_of_file`.
    """
    for number, row in rows_of_file(path):
        if isinstance(row, LogFileError):
            _log.warning("%s, row %d: %s; it is left out", path, number, row)
        else:
            yield number, row


def _lines(path: Path, whole: bool) -> Iterator[tuple[int, Any]]:
    with open_bytes(path, whole) as file:
        for number, line in enumerate(file, start=1):
            if not (text := line.removeprefix(_UTF8_MARK).strip()):
                continue
            try:
                # A line out of a list still has the comma behind it.
                yield number, json.loads(text.decode("utf-8", "replace").removesuffix(","))
            except (ValueError, RecursionError) as error:
                yield number, LogFileError(f"is not JSON ({error})")


def _values(path: Path, whole: bool) -> Iterator[tuple[int, Any]]:
    with open_text(path, whole) as text:
        yield from enumerate(values_of(text), start=1)


def _csv(path: Path, whole: bool) -> Iterator[tuple[int, Any]]:
    with open_text(path, whole) as text:
        names, rows = csv_rows(text)
        if repeated := {name for name in names if names.count(name) > 1}:
            _tell_repeated(path, ", ".join(sorted(repeated)))
        for number, row in enumerate(filter(None, rows), start=2):
            if len(row) == len(names):
                yield number, {name: value or None for name, value in zip(names, row, strict=True)}
            else:
                yield number, LogFileError(f"has {len(row)} fields where the header has {len(names)}")


def _parquet(path: Path, _: bool) -> Iterator[tuple[int, Any]]:
    try:
        import polars
    except ImportError:
        raise LogFileError(f"{path}: reading this needs polars; install 'rb_litellm[train]'") from None
    try:
        yield from enumerate(polars.read_parquet(path).iter_rows(named=True), start=1)
    except polars.exceptions.PolarsError as error:
        raise LogFileError(f"{path}: cannot be read ({error})") from None
