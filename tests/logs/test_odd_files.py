"""Files as tools and people make them: whatever way the rows are written down, they are the same calls."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars
import pytest

from rb_litellm.logs import classify
from rb_litellm.logs.rows import SpendLogsError
from rb_litellm.logs.spend_logs import SpendLog, read_spend_logs
from tests.logs.lifelike import plain

ROWS = plain(12)
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def as_csv(delimiter: str = ",", before: str = "") -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, ROWS[0], delimiter=delimiter)
    table.writeheader()
    for row in ROWS:
        table.writerow({k: json.dumps(v) if isinstance(v, (dict, list)) else v for k, v in row.items()})
    return before + text.getvalue()


def page(name: str) -> str:
    return json.dumps({"total": len(ROWS), name: ROWS})


FILES: dict[str, tuple[str, str | bytes]] = {
    "a page of another tool": ("a.json", page("rows")),
    "another tool's pages, one a line": ("a.jsonl", page("logs") + "\n"),
    "results": ("a.json", page("results")),
    "a text file": ("a.txt", LINES),
    "a log file": ("a.log", LINES),
    "packed, called otherwise": ("a.jsonl", gzip.compress(LINES.encode())),
    "lines out of a list": ("a.jsonl", LINES.replace("}\n", "},\n")),
    "a list over several lines": ("a.jsonl", json.dumps(ROWS, indent=1)),
    "blank lines": ("a.jsonl", LINES.replace("\n", "\n\n \n")),
    "a spreadsheet's first line": ("a.csv", as_csv(";", "sep=;\r\n")),
    "an empty first line": ("a.csv", as_csv(before="\n")),
    "in UTF-16": ("a.csv", as_csv().encode("utf-16")),
}


def read(folder: Path, name: str, content: str | bytes) -> SpendLog:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_spend_logs(str(path))


@pytest.mark.parametrize("which", FILES)
def test_rows_are_the_same_calls_however_they_are_written_down(which: str, tmp_path: Path) -> None:
    told = read(tmp_path, *FILES[which])
    usual = read(tmp_path, "usual.jsonl", LINES)
    assert told.calls == usual.calls
    assert len(told.calls) == len(ROWS)


def test_a_packed_file_that_is_cut_gives_what_is_whole(tmp_path: Path) -> None:
    told = read(tmp_path, "a.jsonl.gz", gzip.compress(LINES.encode())[:-60])
    assert 0 < len(told.calls) < len(ROWS)
    assert told.report.left_out[classify.UNREADABLE, "any"] == 1


def test_a_packed_file_whose_checksum_differs_is_read_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packed = gzip.compress(LINES.encode())
    told = read(tmp_path, "a.jsonl.gz", packed[:-8] + b"\0\0\0\0" + packed[-4:])
    assert len(told.calls) == len(ROWS)
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        str(tmp_path / "a.jsonl.gz")
    ]


def test_a_packed_file_that_is_damaged_gives_what_comes_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = "".join(LINES.replace('"request_id": "', f'"request_id": "{n}-') for n in range(2_000))
    packed = gzip.compress(lines.encode())
    at = len(packed) // 2
    told = read(tmp_path, "a.jsonl.gz", packed[:at] + bytes(64) + packed[at + 64 :])
    assert 0 < len(told.calls) < 2_000 * len(ROWS)
    assert "cut or damaged" in caplog.text


def test_what_only_begins_like_a_packed_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SpendLogsError, match=r"a\.jsonl\.gz: cannot be read"):
        read(tmp_path, "a.jsonl.gz", gzip.compress(b"")[:2] + b"no archive" * 9)


@pytest.mark.parametrize("levels", [900, 3_000, 100_000])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_a_row_that_is_nested_deeply_stops_nothing(levels: int, begin: str, end: str, tmp_path: Path) -> None:
    deep = begin * levels + "1" + end * levels
    odd = json.dumps({**ROWS[0], "request_id": "deep", "metadata": 0}).replace(
        '"metadata": 0', f'"metadata": {deep}'
    )
    told = read(tmp_path, "a.jsonl", f"{odd}\n{LINES}")
    assert {call.call_id for call in told.calls} >= {row["litellm_call_id"] for row in ROWS}


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
@pytest.mark.parametrize("tokens", [1e308, 1793606400, 10**18])
def test_tokens_that_no_call_has_are_left_out_and_told(name: str, tokens: float, tmp_path: Path) -> None:
    """A replay would end at one such row: it holds more than any server, or is no number any more."""
    odd = {**ROWS[0], "request_id": "odd", "litellm_call_id": "odd", name: tokens}
    told = read(tmp_path, "a.jsonl", LINES + json.dumps(odd) + "\n")
    assert len(told.calls) == len(ROWS)
    assert [why for why, _ in told.report.left_out] == [classify.NO_TOKENS]


def without(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda row: {**row, **dict.fromkeys(names)}


@pytest.mark.parametrize("names", [("request_id",), ("request_id", "litellm_call_id")])
def test_what_two_exports_without_ids_hold_counts_once(names: tuple[str, ...], tmp_path: Path) -> None:
    rows = [without(*names)(row) for row in [*ROWS, *ROWS[:5]]]
    told = read(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert len(told.calls) == len(ROWS)
    assert told.report.left_out == {(classify.DUPLICATE, "any"): 5}


@pytest.mark.parametrize("status", ["SUCCESS", " Success ", "", None])
def test_a_success_is_one_however_it_is_written(status: str | None, tmp_path: Path) -> None:
    told = read(tmp_path, "a.jsonl", "".join(json.dumps({**row, "status": status}) + "\n" for row in ROWS))
    assert len(told.calls) == len(ROWS)


@pytest.mark.parametrize("name", ["None", "null", "  ", None])
def test_a_name_that_is_none_names_no_model(name: str | None, tmp_path: Path) -> None:
    told = read(tmp_path, "a.jsonl", json.dumps({**ROWS[0], "model": name}) + "\n")
    assert not told.calls
    assert {why for why, _ in told.report.left_out} == {classify.NO_MODEL}


@pytest.mark.parametrize("call_type", ["CallTypes.acompletion", "/v1/chat/completions", "ACOMPLETION"])
def test_a_chat_is_one_however_its_type_is_written(call_type: str, tmp_path: Path) -> None:
    rows = [{**row, "call_type": call_type} for row in ROWS]
    told = read(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert {call.kind for call in told.calls} == {"chat", "stream"}


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_half_a_character_ends_no_run(name: str, tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS]
    rows[3] |= {"model_group": "g\ud800", "messages": [{"role": "user", "content": "\udfff"}]}
    lines = "".join(json.dumps(row) + "\n" for row in rows) if name == "a.jsonl" else json.dumps(rows)
    told = read(tmp_path, name, lines)
    assert len(told.calls) == len(ROWS)
    assert told.calls[3].group == "g?"


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.txt"])
def test_parquet_is_read_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    frame = polars.DataFrame(
        [
            {
                name: json.dumps(value) if isinstance(value, (dict, list)) else value
                for name, value in row.items()
            }
            for row in ROWS
        ]
    )
    content = io.BytesIO()
    frame.write_parquet(content)
    assert len(read(tmp_path, name, content.getvalue()).calls) == len(ROWS)
    with pytest.raises(SpendLogsError, match=r"is Parquet packed with gzip; allowed is Parquet as it is"):
        read(tmp_path, f"{name}.gz", gzip.compress(content.getvalue()))


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("xl/workbook.xml", LINES)
    return content.getvalue()


FOREIGN = {
    "packed with zstd": b"\x28\xb5\x2f\xfd" + bytes(range(256)),
    "packed with bzip2": bz2.compress(LINES.encode()),
    "packed with xz": lzma.compress(LINES.encode()),
    "packed twice": gzip.compress(gzip.compress(LINES.encode())),
    "a ZIP archive, or a spreadsheet's own file": archive(),
    "a database of SQLite": b"SQLite format 3\0" + bytes(900),
    "in UTF-16 or UTF-32 without a byte-order mark": LINES.encode("utf-16-be"),
    "in UTF-32": LINES.encode("utf-32"),
}


@pytest.mark.parametrize("what", FOREIGN)
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json.gz"])
def test_what_is_no_file_of_ours_is_said_in_place_of_its_broken_rows(
    what: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SpendLogsError, match=rf"{re.escape(name)}: is {what}; allowed are text in UTF-8"):
        read(tmp_path, name, FOREIGN[what])
    assert caplog.text == ""


def test_a_file_that_lost_its_beginning_gives_its_other_rows(tmp_path: Path) -> None:
    told = read(tmp_path, "a.jsonl", "\0" * 4096 + LINES)
    assert len(told.calls) == len(ROWS) - 1


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "logs.jsonl").mkdir()
    with pytest.raises(SpendLogsError, match=r"logs\.jsonl: is a folder; allowed is a file"):
        read_spend_logs(str(tmp_path / "logs.jsonl"))
