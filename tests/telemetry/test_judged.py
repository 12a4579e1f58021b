"""What verdicts say, and when they are enough: true as often as stated, however often one looks."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.core.types import Prompt
from rb_litellm.logs.sources.files import LogFileError
from rb_litellm.logs.verdicts import Comparison, Outcome, VerdictsFull, append_verdict, read_verdicts
from rb_litellm.telemetry.comparing.judged import FEWEST, confidence_sequence, decided, summarise_verdicts
from rb_litellm.telemetry.comparing.pairwise import (
    judge_messages,
    outcome,
    prompt_kind,
    read_verdict,
    request_text,
    text_of,
)


def verdict(number: int, found: Outcome, candidate: str = "weights", kind: str = "chat") -> Comparison:
    return Comparison(
        1e9 + number, f"c{number}", kind, candidate, "small", "large", found, 0.001, 0.002, judge_usd=0.0001
    )


def test_verdicts_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    written = [verdict(n, found) for n, found in enumerate(("win", "tie", "loss", "same"))]
    for one in written:
        append_verdict(path, 10_000, one)
    assert list(read_verdicts(path)) == written
    with pytest.raises(VerdictsFull):
        append_verdict(path, 100, written[0])


def test_a_verdict_that_a_full_disk_has_cut_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, written = tmp_path / "verdicts.jsonl", [verdict(n, "win") for n in range(3)]
    append_verdict(path, 10_000, written[0])
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: write(file, line[:20] if len(line) > 1 else line))
        with pytest.raises(OSError, match="written in part"):
            append_verdict(path, 10_000, written[1])
    append_verdict(path, 10_000, written[2])
    assert list(read_verdicts(path)) == [written[0], written[2]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"served_usd": "x"}, "served_usd is 'x'; allowed is a number"),
        ({"would_usd": None}, "would_usd is None; allowed is a number"),
        ({"served_usd": math.nan}, "served_usd is nan; allowed is a number"),
        ({"would_s": "x"}, "would_s is 'x'; allowed is a number"),
        ({"kind": ["code"]}, "kind is ['code']; allowed is a text"),
        ({"kind": None}, "kind is None; allowed is a text"),
        ({"candidate": {}}, "candidate is {}; allowed is a text"),
        ({"served": 5}, "served is 5; allowed is a text"),
        ({"outcome": "draw"}, "outcome is 'draw'; allowed are win, tie, loss, same"),
    ],
)
def test_one_row_that_is_no_verdict_is_left_out_and_named(
    tmp_path: Path, change: dict[str, object], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, good = tmp_path / "verdicts.jsonl", verdict(0, "win")
    wrong = json.dumps({**asdict(good), **change}) + "\n"
    append_verdict(path, 10_000, good)
    path.write_text(path.read_text() + wrong)
    assert list(read_verdicts(path)) == [good]
    assert f"{path}, row 2: is no verdict: {told}" in caplog.text
    path.write_text(wrong)
    with pytest.raises(LogFileError, match="row 1: is no verdict"):
        list(read_verdicts(path))


def test_the_better_of_two_is_found_and_what_it_costs_is_told() -> None:
    dice = np.random.default_rng(0)
    some = [
        verdict(n, "win" if dice.random() < 0.64 else "tie", kind="code" if n % 2 else "chat")
        for n in range(200)
    ]
    (told,) = summarise_verdicts(some)["candidates"]
    assert told["decided"] == "better"
    assert told["interval"][0] > 0.4
    assert told["cost_change"] == 1.0
    assert {kind["kind"]: kind["decided"] for kind in told["kinds"]} == {"chat": "better", "code": "better"}
    assert told["judge_usd"] == pytest.approx(0.02)


def test_few_verdicts_decide_nothing_and_it_is_told_how_many_are_missing() -> None:
    (told,) = summarise_verdicts([verdict(n, "win") for n in range(10)])["candidates"]
    assert told["decided"] == "open"
    assert told["further"] >= FEWEST - 10


def test_many_verdicts_without_a_difference_say_so() -> None:
    some = [verdict(n, "win" if n % 10 == 0 else "loss" if n % 10 == 5 else "same") for n in range(4000)]
    (told,) = summarise_verdicts(some)["candidates"]
    assert told["decided"] == "equal"


def test_whoever_looks_after_every_verdict_is_wrong_no_more_often_than_is_said() -> None:
    dice = np.random.default_rng(1)
    wrong = 0
    for _ in range(300):
        values = dice.choice([1.0, 0.0, -1.0], size=600, p=[0.3, 0.4, 0.3])
        looks = range(FEWEST, 601, 5)
        bounds = [confidence_sequence(values[:n]) for n in looks]
        wrong += any(
            decided(low, high, n) in ("better", "worse")
            for n, (_, low, high) in zip(looks, bounds, strict=True)
        )
    assert wrong / 300 <= 0.05


@pytest.mark.parametrize(
    ("reply", "place"),
    [("The first is wrong.\nVERDICT: 2", "second"), ("verdict: **1**", "first"), ("VERDICT: TIE", "neither")],
)
def test_a_verdict_is_read(reply: str, place: str) -> None:
    assert read_verdict(reply) == place


def test_a_reply_without_a_verdict_is_an_error() -> None:
    with pytest.raises(ValueError, match="no `VERDICT"):
        read_verdict("Both are fine.")


def test_only_what_the_judge_says_in_both_orders_counts() -> None:
    assert outcome("second", "first") == "win"
    assert outcome("first", "second") == "loss"
    assert outcome("first", "first") == "tie"  # It favours a place.
    assert outcome("second", "neither") == "tie"


def test_the_judge_is_not_told_whose_the_answers_are() -> None:
    shown = json.dumps(judge_messages("What is a ledger?", "A book.", "A shelf."))
    for name in ("small", "large", "served", "candidate", "RouteBalance"):
        assert name not in shown


def test_prompts_are_told_apart_coarsely() -> None:
    kinds = [
        prompt_kind(Prompt(text, 10))
        for text in ("def f(x): return x", "What is 12 * 7?", "Hello there", "x" * 9000)
    ]
    assert kinds == ["code", "mathematics", "chat", "long"]


def test_the_command_says_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.jsonl"
    for n in range(60):
        append_verdict(path, 100_000, verdict(n, "win" if n % 3 else "tie"))
    result = CliRunner().invoke(main, ["shadow-report", "--judged", str(path)])
    assert result.exit_code == 0, result.output
    assert "better" in result.output
    assert "+100.0%" in result.output
    as_json = json.loads(CliRunner().invoke(main, ["shadow-report", "--judged", str(path), "--json"]).stdout)
    assert as_json["candidates"][0]["win"] == 40


def test_an_answer_that_calls_tools_is_told_as_text() -> None:
    call = {"function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    message = {"content": "Let me look.", "tool_calls": [call]}
    answer = {"choices": [{"message": message}]}
    assert text_of(answer) == 'Let me look.\ncalls the tool weather with {"city": "Oslo"}'
    message["content"] = None
    assert text_of(answer) == 'calls the tool weather with {"city": "Oslo"}'
    assert text_of({"choices": [{"message": {"content": None}}]}) == ""


def test_the_judge_is_told_which_tools_may_be_called() -> None:
    tools = [{"type": "function", "function": {"name": "weather", "description": "of a city"}}, {"type": "x"}]
    assert request_text(Prompt("Is it wet?", 5), None) == "Is it wet?"
    told = request_text(Prompt("Is it wet?", 5), tools)
    assert told.startswith("Is it wet?")
    assert told.endswith("weather: of a city")
    assert prompt_kind(Prompt("Is it wet?", 5), tools) == "structured"
