"""`routebalance label`: a judge's grades become training data; nothing is paid twice or unseen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rb_litellm.cli import main
from rb_litellm.train.data.calibration import read_grade, task_of_row
from rb_litellm.train.data.dataset import read_dataset
from rb_litellm.train.data.judge import MAX_FAILURES_IN_A_ROW, label

Write = Callable[..., Path]
ROW = {"prompt": "What is a balance?", "model": "a", "answer": "A pair of scales.", "output_tokens": 5}
JUDGE = ("--judge", "openai/gpt-4o-mini", "--param", "mock_response=Right.\nSCORE: 8")


def run(*args: object, input: str | None = None) -> Result:
    return CliRunner().invoke(main, ["label", "--quiet", *map(str, args)], input=input)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_grades_become_rows_that_train_reads(write_rows: Write, tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "model": "b", "reference": "Scales."}]
    result = run("--data", write_rows(rows), *JUDGE, "--out", tmp_path / "out.jsonl", "--yes")
    assert result.exit_code == 0, result.output
    data = read_dataset([tmp_path / "out.jsonl"])
    assert (data.models, data.quality.tolist()) == (("a", "b"), [[0.8, 0.8]])
    assert data.output_tokens.tolist() == [[5.0, 5.0]]


def test_a_reference_changes_the_rubric() -> None:
    free, against = task_of_row(ROW), task_of_row({**ROW, "reference": "Scales."})
    assert "<reference>\nScales.\n</reference>" in against.messages[1]["content"]
    assert "reference" not in free.messages[0]["content"]
    assert "agrees with it" in against.messages[0]["content"]
    assert free.id != against.id


def test_what_was_graded_before_is_not_asked_again(write_rows: Write, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    run("--data", write_rows([ROW]), *JUDGE, "--out", out, "--yes")
    out.write_text(out.read_text() + '{"prompt": "left unfinis')
    rows = write_rows([ROW, {**ROW, "model": "b"}], "more.jsonl")
    result = run("--data", rows, *JUDGE, "--out", out, "--yes", "--json")
    assert json.loads(result.stdout)["graded"] == 1
    assert [row["model"] for row in lines(out)] == ["a", "b"]


def test_a_dry_run_shows_cost_and_question_and_sends_nothing(write_rows: Write, tmp_path: Path) -> None:
    unreachable = ("--judge", "openai/gpt-4o-mini", "--param", "api_base=http://127.0.0.1:1")
    result = run("--data", write_rows([ROW]), *unreachable, "--out", tmp_path / "out.jsonl", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "1 answers to judge by openai/gpt-4o-mini for at most about 0.000" in result.output
    assert "A pair of scales." in result.output
    assert not (tmp_path / "out.jsonl").exists()


def test_nothing_is_spent_without_a_yes(write_rows: Write, tmp_path: Path) -> None:
    result = run("--data", write_rows([ROW]), *JUDGE, "--out", tmp_path / "out.jsonl", input="n\n")
    assert result.exit_code == 1
    assert "USD" in result.output
    assert not (tmp_path / "out.jsonl").exists()


def test_a_judge_that_litellm_does_not_list_is_named(write_rows: Write) -> None:
    result = run("--data", write_rows([ROW]), "--judge", "openai/gpt-4o-minni", "--dry-run", "--json")
    told = json.loads(result.stdout)
    assert (told["max_cost_usd"], told["judge_listed"]) == (None, False)
    assert "LiteLLM does not list 'openai/gpt-4o-minni' (openai)" in result.stderr
    assert "did you mean gpt-4o-mini" in result.stderr


def test_a_judge_that_litellm_lists_is_not_doubted(write_rows: Write) -> None:
    result = run("--data", write_rows([ROW]), "--judge", "openai/gpt-4o-mini", "--dry-run", "--json")
    assert json.loads(result.stdout)["judge_listed"] is True
    assert result.stderr == ""


def test_a_judge_of_no_provider_is_refused_before_anything_is_asked(write_rows: Write) -> None:
    result = run("--data", write_rows([ROW]), "--judge", "gpt-9-of-nobody", "--dry-run")
    assert result.exit_code == 1
    assert (
        "--judge: LiteLLM knows no provider for 'gpt-9-of-nobody'; allowed is PROVIDER/MODEL" in result.output
    )


def test_a_reply_without_a_score_is_no_label(write_rows: Write, tmp_path: Path) -> None:
    judge = ("--judge", "openai/gpt-4o-mini", "--param", "mock_response=I would rather not.")
    result = run("--data", write_rows([ROW]), *judge, "--out", tmp_path / "out.jsonl", "--yes")
    assert result.exit_code == 1
    assert "1 answers have no grade" in result.output
    assert lines(tmp_path / "out.jsonl") == []


@pytest.mark.parametrize(
    ("reply", "grade"),
    [("SCORE: 10", 1.0), ("score = 7.5", 0.75), ("SCORE: 2\nNo:\n**SCORE:** 4", 0.4), ("SCORE: 0", 0.0)],
)
def test_grades_are_read_as_judges_write_them(reply: str, grade: float) -> None:
    assert read_grade(reply) == grade


@pytest.mark.parametrize("reply", ["", "10", "SCORE: eleven", "SCORE: 11"])
def test_what_is_no_grade_is_refused(reply: str) -> None:
    with pytest.raises(ValueError, match="no `SCORE: n`"):
        read_grade(reply)


async def test_a_judge_that_keeps_failing_is_asked_no_more() -> None:
    asked = []

    async def ask(task: Any) -> str:
        asked.append(task)
        raise ConnectionError("down")

    tasks = [task_of_row({**ROW, "model": f"m{n}"}) for n in range(100)]
    result = await label(tasks, ask, lambda task, quality: None, concurrency=4)
    assert result.stopped
    assert MAX_FAILURES_IN_A_ROW <= len(asked) < MAX_FAILURES_IN_A_ROW + 4


async def test_no_more_are_judged_at_once_than_asked_for() -> None:
    now = most = 0

    async def ask(task: Any) -> str:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return "SCORE: 5"

    tasks = [task_of_row({**ROW, "model": f"m{n}"}) for n in range(20)]
    result = await label(tasks, ask, lambda task, quality: None, concurrency=3)
    assert (result.graded, most) == (20, 3)


def test_thumbs_become_quality(write_rows: Write, tmp_path: Path) -> None:
    rows = [{"prompt": "p", "model": m, "thumbs": t} for m, t in (("a", "up"), ("b", False), ("c", 1))]
    result = run("--thumbs", write_rows(rows), "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    assert read_dataset([tmp_path / "out.jsonl"]).quality.tolist() == [[1.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"answer": ""}, "answers.jsonl:1: answer is ''"),
        ({"model": None}, ":1: model is None"),
        ({"prompt": 3}, ":1: prompt is 3"),
        ({"reference": 3}, ":1: reference is int"),
        ({"output_tokens": "many"}, ":1: output_tokens is 'many'; allowed is a number, or null"),
    ],
)
def test_wrong_rows_are_named(changes: dict[str, Any], told: str, write_rows: Write) -> None:
    result = run("--data", write_rows([{**ROW, **changes}]), *JUDGE, "--dry-run")
    assert result.exit_code == 1
    assert told in result.output


def test_one_wrong_row_in_a_hundred_is_left_out(
    write_rows: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [{"prompt": f"Say {n}.", "model": "a", "thumbs": "up"} for n in range(200)]
    data = write_rows([*rows, {**rows[0], "thumbs": "sideways"}])
    data.write_text('{"prompt": "cut\n' + data.read_text())
    result = run("--thumbs", data, "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 0, result.output
    assert len(lines(tmp_path / "out.jsonl")) == 200
    assert "answers.jsonl:1: is not JSON" in caplog.text
    assert "answers.jsonl:202: thumbs is 'sideways'" in caplog.text


def test_a_file_of_something_else_is_left_alone(write_rows: Write, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text('{"mine": 1}\n')
    result = run("--data", write_rows([ROW]), *JUDGE, "--out", out, "--yes")
    assert "is no labelled row; choose another --out" in result.output
    assert out.read_text() == '{"mine": 1}\n'
