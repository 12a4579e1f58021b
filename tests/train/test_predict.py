"""`routebalance predict`: what is expected of each model for each prompt of a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rb_litellm.cli import main
from rb_litellm.cli.learn.predict import _write as write
from rb_litellm.predictors.default.abilities import KINDS

Write = Callable[..., Path]
NAMES = ("qwen2.5-7b-instruct", "hosted_vllm/Qwen/Qwen2.5-72B-Instruct-AWQ", "of-nobody")
MODELS = [part for name in NAMES for part in ("--model", name)]
ROWS = [
    {"prompt_id": "second", "prompt": "What is 17 times 23?"},
    {"prompt_id": "first", "messages": [{"role": "user", "content": "Write a poem."}], "max_tokens": 20},
    {"prompt": "What is 17 times 23?", "model": "a", "quality": 0.5},
]


def run(*args: object) -> Result:
    return CliRunner().invoke(main, ["predict", *map(str, args)])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("predictor", ["default", "none"])
def test_each_row_has_a_line_with_every_model_in_the_order_of_the_file(
    predictor: str, write_rows: Write
) -> None:
    result = run("--predictor", predictor, "--data", write_rows(ROWS), *MODELS)
    assert result.exit_code == 0, result.output
    told = lines(result.stdout)
    assert [row["prompt_id"] for row in told[:2]] == ["second", "first"]
    assert told[2]["models"] == told[0]["models"]
    for row in told:
        assert list(row["models"]) == list(NAMES)
        assert row["kind"] in KINDS
        assert 0.0 <= row["certainty"] <= 1.0
        for figures in row["models"].values():
            assert 0.0 <= figures["quality"] <= 1.0
            assert 0.0 <= figures["low"] <= figures["output_tokens"] * 1.01
            assert figures["output_tokens"] <= figures["high"] * 1.01
    assert all(figures["high"] <= 20 for figures in told[1]["models"].values())


def test_the_lines_are_written_to_a_file(write_rows: Write, tmp_path: Path) -> None:
    data, out = write_rows(ROWS), tmp_path / "out.jsonl"
    result = run("--data", data, *MODELS, "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert lines(out.read_text()) == lines(run("--data", data, *MODELS).stdout)


def test_a_row_without_a_prompt_is_named(write_rows: Write) -> None:
    data = write_rows([*ROWS, {"prompt": 3}, {"prompt": 3}])
    result = run("--data", data, *MODELS)
    assert result.exit_code == 1
    assert f"{data}:4: prompt is 3; allowed is a text" in result.output


def test_one_row_in_a_hundred_without_a_prompt_ends_no_run(
    write_rows: Write, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_rows([*ROWS * 40, {"prompt": 3}, *ROWS])
    result = run("--data", data, *MODELS)
    assert result.exit_code == 0, result.output
    assert len(lines(result.stdout)) == 123
    assert f"{data}:121: prompt is 3; allowed is a text" in caplog.text


def test_what_is_there_is_not_overwritten_least_of_all_the_data(write_rows: Write) -> None:
    data = write_rows(ROWS)
    before = data.read_text()
    result = run("--data", data, *MODELS, "--out", data)
    assert result.exit_code == 1
    assert "nothing is overwritten" in result.output
    assert data.read_text() == before


def test_of_a_run_that_fails_no_half_is_left(write_rows: Write, tmp_path: Path) -> None:
    result = run(
        "--data", write_rows([*ROWS, *[{"prompt": 3}] * 2]), *MODELS, "--out", tmp_path / "out.jsonl"
    )
    assert result.exit_code == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_a_model_named_twice_is_refused(write_rows: Write) -> None:
    result = run("--data", write_rows(ROWS), "--model", "a", "--model", "a")
    assert result.exit_code == 2
    assert "--model a is given twice" in result.output


def test_a_file_that_came_meanwhile_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("somebody else's")
    with pytest.raises(FileExistsError):
        write(out, [])
    assert out.read_text() == "somebody else's"


def test_a_model_without_a_name_is_refused(write_rows: Write) -> None:
    result = run("--data", write_rows(ROWS), "--model", "")
    assert result.exit_code == 2
    assert "--model is empty" in result.output


def printed_to(output: Any, *args: object) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, whose standard output is `output`."""
    command = [sys.executable, "-c", "from rb_litellm.cli import main; main()", "predict", *map(str, args)]
    return subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is there on Linux alone")
def test_an_output_without_room_is_told_in_one_line(write_rows: Write) -> None:
    with open("/dev/full", "w") as full:
        ended = printed_to(full, "--predictor", "none", "--data", write_rows(ROWS), *MODELS)
    assert (ended.returncode, ended.stderr) == (1, "Error: standard output: No space left on device\n")


def test_a_reader_that_has_left_is_no_error_to_speak_of(write_rows: Write) -> None:
    """As with `| head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as left:
        ended = printed_to(left, "--predictor", "none", "--data", write_rows(ROWS), *MODELS)
    assert (ended.returncode, ended.stderr) == (1, "")
