"""Training data are read strictly: every wrong row is named, and the order of rows changes nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rb_litellm.train.data.dataset import DataError, read_dataset

Write = Callable[..., Path]
ROW = {"prompt": "What is a balance?", "model": "a", "quality": 0.5, "output_tokens": 12}


def test_rows_become_one_prompt_with_a_column_per_model(write_rows: Write) -> None:
    data = read_dataset([write_rows([ROW, {**ROW, "model": "b", "quality": 1.0, "output_tokens": None}])])
    assert (len(data.prompts), data.models, data.rows) == (1, ("a", "b"), 2)
    assert data.quality.tolist() == [[0.5, 1.0]]
    assert data.output_tokens[0, 0] == 12
    assert np.isnan(data.output_tokens[0, 1])


def test_several_answers_of_one_model_to_one_prompt_are_averaged(write_rows: Write) -> None:
    data = read_dataset([write_rows([ROW, {**ROW, "quality": 1.0}])])
    assert data.quality.tolist() == [[0.75]]


def test_the_order_of_rows_changes_nothing(write_rows: Write) -> None:
    rows = [{**ROW, "prompt": f"p{n}", "model": m, "quality": n / 9} for n in range(9) for m in "ab"]
    one = read_dataset([write_rows(rows, "one.jsonl")])
    two = read_dataset([write_rows(rows[::-1], "two.jsonl")])
    assert one.prompt_ids == two.prompt_ids
    assert np.array_equal(one.quality, two.quality)


def test_messages_count_as_a_prompt(write_rows: Write) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    row = {"messages": messages, "model": "a", "quality": 1, "max_tokens": 9}
    prompt = read_dataset([write_rows([row])]).prompts[0]
    assert (prompt.text, prompt.system_chars, prompt.max_tokens) == ("Be brief.\n\nHello", 9, 9)


@pytest.mark.parametrize("kind", ["jsonl.gz", "csv", "parquet"])
def test_all_kinds_of_file_give_the_same_data(kind: str, write_rows: Write, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    rows = [ROW, {**ROW, "prompt": 'Zwei, "und"\nmehr', "quality": None}]
    path = tmp_path / f"data.{kind}"
    frame = polars.DataFrame(rows)
    if kind == "csv":
        frame.write_csv(path)
    elif kind == "parquet":
        frame.write_parquet(path)
    else:
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    plain, other = read_dataset([write_rows(rows)]), read_dataset([path])
    assert plain.prompts == other.prompts
    assert np.array_equal(plain.quality, other.quality, equal_nan=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quality": 1.5}, r"answers\.jsonl:2: quality is 1\.5; allowed is a number from 0 to 1, or null"),
        ({"quality": "good"}, r":2: quality is 'good'; allowed"),
        ({"quality": True}, r":2: quality is True; allowed"),
        ({"output_tokens": -1}, r":2: output_tokens is -1; allowed"),
        ({"model": ""}, r":2: model is ''; allowed is a name"),
        ({"prompt": 7}, r":2: prompt is 7; allowed is a text"),
        ({"messages": "x"}, r":2: messages is 'x'; allowed is a JSON list"),
    ],
)
def test_a_wrong_value_is_named_with_file_line_and_what_is_allowed(
    change: dict[str, object], message: str, write_rows: Write
) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset([write_rows([ROW, {**ROW, **change}, {**ROW, **change}])])


def test_one_wrong_row_ends_no_run_however_few_they_are(
    write_rows: Write, caplog: pytest.LogCaptureFixture
) -> None:
    data = read_dataset([write_rows([ROW, {**ROW, "quality": 1.5}])])
    assert (data.rows, data.wrong) == (1, 1)
    assert "answers.jsonl:2: quality is 1.5; allowed is a number from 0 to 1, or null" in caplog.text
    with pytest.raises(DataError, match=r":1: quality is 2.*\n1 of 1 rows are wrong"):
        read_dataset([write_rows([{**ROW, "quality": 2}])])


def test_a_header_in_other_words_is_told_with_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("Prompt,Model,Quality\nWhat?,a,1\nWho?,a,1\n")
    with pytest.raises(DataError, match=r"needed, and there is 'Prompt, Model, Quality'"):
        read_dataset([path])


def test_a_column_that_stands_twice_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("prompt,model,quality,quality\nWhat?,a,0,1\n")
    assert read_dataset([path]).quality.tolist() == [[1.0]]
    assert "rows.csv: the header has these names more than once, of which the last counts: quality" in (
        caplog.text
    )


def test_a_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(ROW) + "\n{oh\n{oh\n")
    with pytest.raises(DataError, match=r"bad\.jsonl:2: is not JSON"):
        read_dataset([path])


def test_ten_wrong_rows_are_named_and_the_others_counted(write_rows: Write) -> None:
    with pytest.raises(DataError, match=r"500 of 500 rows are wrong; allowed are 1%") as error:
        read_dataset([write_rows([{**ROW, "quality": 2.0}] * 500)])
    assert "(and 490 more)" in str(error.value)
    assert len(str(error.value).splitlines()) == 12


def test_one_wrong_row_in_a_hundred_is_left_out_and_named(
    write_rows: Write, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{**ROW, "prompt": f"Say {number}."} for number in range(200)]
    rows[7]["quality"] = 2.0
    data = read_dataset([write_rows(rows)])
    assert (data.rows, data.wrong, len(data.prompts)) == (199, 1, 199)
    assert "answers.jsonl:8: quality is 2; allowed is a number from 0 to 1, or null" in caplog.text
    assert "1 of 200 rows are wrong, and left out" in caplog.text


SHEET = "prompt;model;quality;output_tokens;max_tokens;messages\n"


def test_a_spreadsheets_rows_are_read_one_by_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One row with a field too many, or a word for a number, is that row's matter alone."""
    good = "".join(f"Say {n}.;a;0.5;12;512;\n" for n in range(400))
    path = tmp_path / "sheet.csv"
    path.write_text(SHEET + "What;now;a;0.5;12;512;\n" + "Say it.;a;n/a;12;512;\n" + good, "utf-8-sig")
    data = read_dataset([path])
    assert (data.rows, data.wrong, data.models) == (400, 2, ("a",))
    assert {prompt.max_tokens for prompt in data.prompts} == {512}
    assert "sheet.csv:2: has 7 fields where the header has 6" in caplog.text
    assert "sheet.csv:3: quality is 'n/a'; allowed is a number, or null" in caplog.text


def test_a_list_over_several_lines_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    rows = [{**ROW, "items": [1, 2]}, {**ROW, "model": "b", "items": []}]
    path.write_text(json.dumps(rows, indent=1))
    assert read_dataset([path]).models == ("a", "b")


def test_messages_that_are_nested_too_deeply_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("messages,model,quality\n" + "[" * 100_000 + ",a,0.5\n")
    with pytest.raises(DataError, match=r"rows\.csv:2: messages is '\[+'; allowed is a JSON list"):
        read_dataset([path])


def test_a_file_without_rows_says_what_a_row_needs(write_rows: Write) -> None:
    with pytest.raises(DataError, match="no rows; each needs `prompt` or `messages`"):
        read_dataset([write_rows([])])


def test_an_unknown_kind_of_file_names_the_kinds(tmp_path: Path) -> None:
    (tmp_path / "data.xml").write_text("<a/>")
    with pytest.raises(DataError, match=r"unknown kind of file; allowed are \.jsonl"):
        read_dataset([tmp_path / "data.xml"])
