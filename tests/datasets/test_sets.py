"""`routebalance data`: rows out of the sources' files, and what is said where those are wrong."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.datasets import alpaca_eval, llmrouter, traces, zeroeval
from rb_litellm.datasets.repository import SourceError
from rb_litellm.datasets.rows import prompt_id
from rb_litellm.datasets.selection import is_left_out, selected
from rb_litellm.datasets.sets import SETS, write_set

_DATA = Path(os.environ.get("RB_DATA", "shared/data"))
_CLONES = [one for one in os.environ.get("RB_CLONES", "").split(os.pathsep) if one]
_SCORES, _TESTS = "data/dcrouter_preprocessed/train.json", "data/dcrouter_preprocessed/test.json"
_QUERIES = "data/example_data/query_data/default_query_{}.jsonl"


class Given:
    """A source with the given files."""

    def __init__(self, files: Mapping[str, Any]) -> None:
        self.files = files

    def read(self, path: str) -> bytes:
        if path not in self.files:
            raise SourceError(f"{path}: is not there")
        held = self.files[path]
        return held.encode() if isinstance(held, str) else json.dumps(held).encode()


def llmrouter_files(**changes: Any) -> Given:
    queries = [{"query": "Who?", "task_name": "trivia_qa"}, {"query": "How many?", "task_name": "gsm8k"}]
    files = {
        _SCORES: [{"question": "Who?", "scores": {"a": 1.0, "b": 0}}],
        _TESTS: [
            {"question": "Who?", "scores": {"a": 0.0, "b": 0.0}},
            {"question": "How many?", "scores": {"a": 0.123456, "b": 1.0}},
        ],
        _QUERIES.format("train"): "\n".join(map(json.dumps, queries)),
        _QUERIES.format("test"): "",
        "LICENSE": "MIT License",
    }
    return Given({**files, **changes})


def test_llmrouter_has_a_row_per_prompt_and_model_and_the_first_scores_count():
    rows = list(llmrouter.rows(llmrouter_files()))
    assert [(row["task"], row["model"], row["quality"]) for row in rows] == [
        ("trivia_qa", "a", 1.0),
        ("trivia_qa", "b", 0.0),
        ("gsm8k", "a", 0.1235),
        ("gsm8k", "b", 1.0),
    ]
    assert rows[0]["prompt_id"] == prompt_id("Who?")
    assert (rows[0]["input_tokens"], rows[0]["output_tokens"]) == (2, None)


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [
        ([{"question": "Who?", "scores": {"a": 2}}], "row 1, scores: `a` is 2; allowed is 0 to 1"),
        ([{"question": "Who?", "scores": {"a": True}}], "row 1, scores: `a` is True; allowed is a number"),
        ([{"question": "Who?", "scores": {}}, {"question": 3}], "row 2: `question` is 3; allowed is a text"),
        ([{"scores": {}}], "row 1: `question` is missing; allowed is a text"),
        (["Who?"], "row 1: is str; allowed is an object"),
        ([{"question": "Where?", "scores": {}}], "row 1: no file of .* has its question"),
        ({"question": "Who?"}, "holds dict; allowed is a list"),
        ("[", "is no JSON"),
    ],
)
def test_a_row_that_is_wrong_is_named_with_its_file(scores, complaint):
    with pytest.raises(SourceError, match=rf"^{_SCORES}(, |: ){complaint}"):
        list(llmrouter.rows(llmrouter_files(**{_SCORES: scores})))


def test_alpaca_eval_tells_the_judges_preference_and_leaves_empty_answers_out():
    row = {"dataset": "koala", "instruction": "Hi", "output_2": "Hello there", "preference": 1.25}
    path = "results/m/weighted_alpaca_eval_gpt4_turbo/annotations.json"
    (told,) = alpaca_eval.rows(Given({path: [row, {**row, "output_2": ""}]}), ["m"])
    assert told == {
        "prompt_id": prompt_id("Hi"),
        "task": "koala",
        "prompt": "Hi",
        "model": "m",
        "quality": 0.25,
        "input_tokens": 1,
        "output_tokens": 2,
    }
    with pytest.raises(SourceError, match=f"{path}, row 1: `preference` is 0.5; allowed is 1 to 2"):
        list(alpaca_eval.rows(Given({path: [{**row, "preference": 0.5}]}), ["m"]))


def test_zeroeval_grades_the_answer_of_each_reply():
    row = {"problem": "1+1?", "question": "f(1)?", "answer": "2"}
    replies = {"right": '{"answer": "2"}', "wrong": '{"answer": "3"}', "empty": ""}
    files = {
        f"result_dirs/{folder}/{model}.json": [{**row, "output": [reply]} for reply in replies.values()]
        for folder in ("math-l5", "crux")
        for model in selected(f"zeroeval: models of {folder}")
    }
    rows = list(zeroeval.rows(Given(files)))
    assert [row["quality"] for row in rows[:2]] == [1.0, 0.0]
    assert len(rows) == 2 * len(files)
    assert {row["task"] for row in rows} == {"math_level5", "code_output"}
    path = next(iter(files))
    with pytest.raises(
        SourceError, match=f"{path}, row 1: `output` is \\[\\]; allowed is a list with a text"
    ):
        list(zeroeval.rows(Given({**files, path: [{**row, "output": []}]})))


def test_traces_are_told_in_seconds_and_tokens():
    azure = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.5,374,44\n"
    path = "data/processed_traces/splitwise_conv.csv"
    assert list(traces.azure_rows(Given({path: azure}))) == [
        {"arrival_s": 0.5, "input_tokens": 374, "output_tokens": 44}
    ]
    with pytest.raises(SourceError, match=f"{path}, row 1: .*allowed are numbers"):
        list(traces.azure_rows(Given({path: azure.replace("374", "many")})))
    line = {"timestamp": 1500, "input_length": 6, "output_length": 5, "hash_ids": [0, 1]}
    path = "FAST25-release/traces/conversation_trace.jsonl"
    assert list(traces.mooncake_rows(Given({path: line}))) == [
        {"arrival_s": 1.5, "input_tokens": 6, "output_tokens": 5, "prefix_blocks": [0, 1]}
    ]


def test_the_licence_is_written_with_the_rows_and_the_same_source_gives_the_same_bytes(tmp_path):
    which = SETS[0]
    (one,) = write_set(which, llmrouter_files(), tmp_path / "one")
    (two,) = write_set(which, llmrouter_files(), tmp_path / "two")
    assert (one.rows, one.sha256) == (4, two.sha256)
    assert one.path.read_bytes() == two.path.read_bytes()
    licence = (tmp_path / "one" / "llmrouter.LICENSE").read_text()
    assert "ulab-uiuc/LLMRouter" in licence
    assert "MIT License" in licence


def test_no_part_of_a_file_is_left_where_a_row_is_wrong(tmp_path):
    with pytest.raises(SourceError):
        write_set(SETS[0], llmrouter_files(**{_TESTS: [{}]}), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["llmrouter.LICENSE"]


@pytest.mark.parametrize("name", ["llmrouter", "alpaca-eval", "zeroeval"])
def test_about_a_fifth_of_the_prompts_is_left_out(name):
    left = selected(f"{name}: prompts left out")
    assert len(left) == len(set(left)) > 100
    assert is_left_out(name, left[0] + "01234567")
    assert not is_left_out(name, "0" * 16)


def test_the_command_lists_the_sets_with_their_licences():
    told = json.loads(CliRunner().invoke(main, ["data", "--json"]).stdout)
    assert {(one["name"], one["licence"]) for one in told["sets"]} >= {
        ("llmrouter", "MIT"),
        ("alpaca-eval", "Apache-2.0"),
    }


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["mmlu", "--out", "x"], "no set 'mmlu'; there are llmrouter, alpaca-eval"),
        (["azure"], "give --out DIR"),
    ],
)
def test_the_command_says_what_is_allowed(arguments, complaint):
    result = CliRunner().invoke(main, ["data", *arguments])
    assert result.exit_code == 2
    assert complaint in result.output


@pytest.mark.slow
@pytest.mark.parametrize("which", SETS, ids=lambda which: which.name)
def test_the_rows_are_those_of_the_shared_data(which, tmp_path):
    """Made from real clones: RB_CLONES lists them, RB_DATA is the folder to agree with."""
    if not _CLONES:
        pytest.skip("RB_CLONES names no clones of the sources")
    if not all((_DATA / file.name).is_file() for file in which.files):
        pytest.skip(f"{_DATA / which.files[0].name} is not there")
    options = [part for clone in _CLONES for part in ("--from", clone)]
    result = CliRunner().invoke(main, ["data", which.name, "--out", str(tmp_path), "--json", *options])
    assert result.exit_code == 0, result.output
    for file in which.files:
        assert _rows(tmp_path / file.name) == _rows(_DATA / file.name)


def _rows(path: Path) -> list[Any]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) if path.name.endswith(".jsonl.gz") else line for line in lines]
