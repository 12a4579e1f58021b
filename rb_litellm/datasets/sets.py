"""The sets that `routebalance data` writes: name, source, files, and how each file's rows are made."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rb_litellm.datasets import alpaca_eval, llmrouter, traces, zeroeval
from rb_litellm.datasets.repository import Files, Source
from rb_litellm.datasets.rows import GradedRow
from rb_litellm.datasets.selection import is_left_out, selected

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows that a set is written to."""

    name: str
    rows: Callable[[Files, bool], Iterable[Row]]
    """All rows, from the source's files; also those that are left out, where True is given."""


@dataclass(frozen=True, slots=True)
class PublicSet:
    """Public measurements from one repository."""

    name: str
    about: str
    source: Source
    files: tuple[RowFile, ...]
    note: str = ""
    """What the licence file is to say besides."""


@dataclass(frozen=True, slots=True)
class Written:
    """A file that was written."""

    path: Path
    rows: int
    sha256: str
    """Of the file."""


def _kept(name: str, rows: Iterable[GradedRow], whole: bool) -> Iterator[GradedRow]:
    return (row for row in rows if whole or not is_left_out(name, row["prompt_id"]))


def _by_prompt(rows: Iterable[GradedRow]) -> list[GradedRow]:
    return sorted(rows, key=lambda row: (row["prompt_id"], row["model"]))


def _llmrouter(files: Files, whole: bool) -> Iterable[Row]:
    return _kept("llmrouter", llmrouter.rows(files), whole)


def _zeroeval(files: Files, whole: bool) -> Iterable[Row]:
    rows = zeroeval.rows(files, selected("zeroeval: models left out") if whole else ())
    return _by_prompt(_kept("zeroeval", rows, whole))


def _alpaca_wide(files: Files, whole: bool) -> Iterable[Row]:
    models = selected("alpaca-eval: models")
    if whole:
        models += selected("alpaca-eval: models left out")
    rows = _by_prompt(_kept("alpaca-eval", alpaca_eval.rows(files, models), whole))
    return ({**row, "task": f"chat_{row['task']}"} for row in rows)


def _alpaca_few(files: Files, whole: bool) -> Iterable[Row]:
    models = selected("alpaca-eval: models of the smaller file")
    rows = _kept("alpaca-eval", alpaca_eval.rows(files, models), whole)
    return ({**row, "task": f"alpaca_eval/{row['task']}"} for row in rows)


SETS = (
    PublicSet(
        "llmrouter",
        "graded answers to 14 tasks by 9 models; no lengths",
        llmrouter.SOURCE,
        (RowFile("quality_tasks.jsonl.gz", _llmrouter),),
    ),
    PublicSet(
        "alpaca-eval",
        "chat: a judge's preference against GPT-4-1106, and lengths",
        alpaca_eval.SOURCE,
        (
            RowFile("quality_chat_wide.jsonl.gz", _alpaca_wide),
            RowFile("quality_length_chat.jsonl.gz", _alpaca_few),
        ),
    ),
    PublicSet(
        "zeroeval",
        "hard mathematics and output of code, right or wrong, and lengths",
        zeroeval.SOURCE,
        (RowFile("quality_math_code.jsonl.gz", _zeroeval),),
    ),
    PublicSet(
        "azure",
        "arrivals of a production chat service, 2023",
        traces.AZURE,
        (RowFile("arrivals_azure_conv_2023.csv.gz", lambda files, _: traces.azure_rows(files)),),
        traces.AZURE_NOTE,
    ),
    PublicSet(
        "mooncake",
        "arrivals of a production chat service, with shared prefixes",
        traces.MOONCAKE,
        (RowFile("arrivals_mooncake_conversation.jsonl.gz", lambda files, _: traces.mooncake_rows(files)),),
    ),
)


def write_set(
    which: PublicSet,
    files: Files,
    out: Path,
    whole: bool = False,
    progress: Callable[[], None] = lambda: None,
) -> list[Written]:
    """Write the files of a set and the licence of its source into `out`.

    The same source gives the same bytes. A file appears when it is whole. `progress` is called after a row.

    Raises:
        SourceError: a file of the source cannot be had or a row of it is not as it should be.
        OSError: `out` cannot be written to.
    """
    out.mkdir(parents=True, exist_ok=True)
    # Beside the rows before they are there: nobody has the rows without it.
    (out / f"{which.name}.LICENSE").write_text(_licence(which, files), encoding="utf-8")
    return [_write(out / file.name, _counted(file.rows(files, whole), progress)) for file in which.files]


def _licence(which: PublicSet, files: Files) -> str:
    source = which.source
    text = files.read(source.licence_file).decode("utf-8", "replace")
    names = ", ".join(file.name for file in which.files)
    note = f"{which.note}\n" if which.note else ""
    return (
        f"{names}: made by `routebalance data {which.name}` from https://github.com/{source.repository}\n"
        f"at {source.commit}, whose licence is {source.licence}.\n"
        "The rows are in another form than the source's.\n"
        f"{note}\n{text}"
    )


def _counted(rows: Iterable[Row], progress: Callable[[], None]) -> Iterator[Row]:
    for row in rows:
        yield row
        progress()


def _write(path: Path, rows: Iterable[Row]) -> Written:
    count, partial = 0, path.with_name(f"{path.name}.part")
    try:
        # Neither name nor time in the header: the same rows are the same bytes.
        with (
            partial.open("wb") as file,
            gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
            io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
        ):
            write = _csv_writer(text) if path.name.endswith(".csv.gz") else _json_writer(text)
            for row in rows:
                write(row)
                count += 1
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return Written(path, count, digest)


def _json_writer(text: io.TextIOWrapper) -> Callable[[Row], object]:
    return lambda row: text.write(json.dumps(row, ensure_ascii=False) + "\n")


def _csv_writer(text: io.TextIOWrapper) -> Callable[[Row], object]:
    writer = csv.writer(text, lineterminator="\n")
    started = False

    def write(row: Row) -> None:
        nonlocal started
        if not started:
            writer.writerow(row)
            started = True
        writer.writerow(row.values())

    return write
