"""`routebalance train --from-spend-logs`: LiteLLM's own log is enough to learn from."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rb_litellm.cli import main
from rb_litellm.logs.spend_logs import read_spend_logs
from rb_litellm.predictors.trained.model import Predictor
from rb_litellm.train.data.dataset import DataError, read_dataset
from rb_litellm.train.data.logged import answers_of_calls, latencies_of_calls
from tests.train.conftest import answers

Write = Callable[..., Path]
BODY = {"messages": [{"role": "user", "content": "What is a balance?"}], "max_tokens": 50}


def logged(**changes: Any) -> dict[str, Any]:
    row = {
        "litellm_call_id": "c1",
        "startTime": "2026-11-01T10:00:00Z",
        "endTime": "2026-11-01T10:00:02Z",
        "model": "hosted_vllm/small",
        "model_group": "small",
        "completion_tokens": 50,
        "status": "success",
        "proxy_server_request": BODY,
    }
    return {**row, **changes}


def logs_and_feedback(prompts: int = 40) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The graded answers of the other tests, as LiteLLM would have logged them."""
    rows = answers(prompts)
    calls = [
        logged(
            litellm_call_id=f"c{number}",
            model=f"hosted_vllm/{row['model']}",
            model_group=row["model"],
            completion_tokens=row["output_tokens"],
            proxy_server_request={"messages": [{"role": "user", "content": row["prompt"]}]},
        )
        for number, row in enumerate(rows)
    ]
    return calls, [{"call_id": f"c{n}", "score": row["quality"]} for n, row in enumerate(rows)]


def train(*args: object) -> Result:
    return CliRunner().invoke(main, ["train", "--quiet", *map(str, args)])


def test_a_logged_call_becomes_an_answer_with_its_length_and_its_feedback(write_rows: Write) -> None:
    (answer,), counts = answers_of_calls(read_spend_logs(str(write_rows([logged()]))), {"c1": 0.25})
    assert (answer.prompt.text, answer.prompt.max_tokens) == ("What is a balance?", 50)
    assert (answer.model, answer.quality, answer.output_tokens) == ("small", 0.25, 50)
    assert (counts.calls, counts.used, counts.graded) == (1, 1, 1)


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "What is a balance?"},
        {"input": "What is a balance?"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "What is a balance?"}]}]},
    ],
    ids=["completion", "responses", "parts"],
)
def test_prompts_are_read_as_they_are_when_routed(body: dict[str, Any], write_rows: Write) -> None:
    calls = read_spend_logs(str(write_rows([logged(proxy_server_request=body)])))
    assert answers_of_calls(calls, {})[0][0].prompt.text == "What is a balance?"


def test_a_model_is_called_as_the_proxy_looks_it_up(write_rows: Write) -> None:
    decided = {"routing_decision": {"routebalance": {"model": "large"}}}
    rows = [
        logged(),
        logged(model_group="auto", metadata=decided, model="hosted_vllm/large"),
        logged(model_group="old", model="openai/one"),
        logged(model_group="old", model="openai/two"),
    ]
    told, _ = answers_of_calls(read_spend_logs(str(write_rows(rows))), {})
    assert [answer.model for answer in told] == ["small", "large", "openai/one", "openai/two"]


def test_a_model_is_one_whatever_capitals_its_name_is_written_in(write_rows: Write) -> None:
    names = ["hosted_vllm/small", "Hosted_VLLM/Small", "small", "hosted_vllm/small"]
    rows = [logged(litellm_call_id=f"c{n}", model=name) for n, name in enumerate(names)]
    told, _ = answers_of_calls(read_spend_logs(str(write_rows(rows))), {})
    assert {answer.model for answer in told} == {"small"}


def test_a_first_token_is_never_told_to_take_no_time(write_rows: Write) -> None:
    """The setting that it is for takes no such thing."""
    rows = [
        logged(
            litellm_call_id=f"c{n}",
            model_id="s",
            startTime=f"2026-11-01T10:{n:02d}:00Z",
            completionStartTime=f"2026-11-01T10:{n:02d}:00.001100Z",
            endTime=f"2026-11-01T10:{n:02d}:02Z",
            prompt_tokens=20 + 40 * n,
        )
        for n in range(40)
    ]
    told = latencies_of_calls(read_spend_logs(str(write_rows(rows))).calls)
    assert told["s"]["ttft_ms"] > 0.0


def test_what_cannot_be_used_is_counted(write_rows: Write) -> None:
    short = {"messages": [{"role": "user", "content": "So ... (litellm_truncated skipped 9 chars) ... it"}]}
    rows = [
        logged(),
        logged(litellm_call_id="c2", proxy_server_request={}),
        logged(litellm_call_id="c3", status="failure"),
        logged(litellm_call_id="c4", completion_tokens=0),
        logged(litellm_call_id="c5", proxy_server_request=short),
    ]
    _, counts = answers_of_calls(read_spend_logs(str(write_rows(rows))), {})
    assert (counts.used, counts.without_prompt, counts.unanswered, counts.shortened) == (2, 1, 2, 1)
    assert "1 without a stored prompt" in str(counts)


def test_of_more_text_than_memory_holds_the_latest_calls_are_used(
    write_rows: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rb_litellm.train.data.logged.MAX_CHARS", 3 * len("What is a balance?"))
    rows = [
        logged(litellm_call_id=f"c{n}", startTime=f"2026-11-01T10:00:0{n}Z", endTime="2026-11-01T10:00:12Z")
        for n in range(5)
    ]
    grades = {f"c{n}": n / 10 for n in range(5)}
    told, counts = answers_of_calls(read_spend_logs(str(write_rows(rows))), grades)
    assert [answer.quality for answer in told] == [0.2, 0.3, 0.4]
    assert counts.older == 2
    assert "2 older than the latest" in str(counts)


def test_a_log_without_prompts_names_the_setting_that_stores_them(write_rows: Write, tmp_path: Path) -> None:
    calls = write_rows([logged(proxy_server_request={})])
    result = train("--from-spend-logs", calls, "--out", tmp_path / "model")
    assert result.exit_code == 1
    assert "1 without a stored prompt" in result.output
    assert "store_prompts_in_spend_logs" in result.output


def test_an_empty_log_is_no_data(write_rows: Write) -> None:
    with pytest.raises(DataError, match="0 calls"):
        answers_of_calls(read_spend_logs(str(write_rows([]))), {})


def test_a_log_with_feedback_teaches_quality_and_length(write_rows: Write, tmp_path: Path) -> None:
    calls, grades = logs_and_feedback()
    given = ["--from-spend-logs", write_rows(calls, "logs.jsonl"), "--out", tmp_path / "model", "--json"]
    result = train(*given, "--feedback", write_rows(grades, "feedback.jsonl"))
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["rows"], told["models"], told["log"]["graded"]) == (80, ["large", "small"], 80)
    assert Predictor.load(tmp_path / "model").models == ("large", "small")


def test_a_log_without_feedback_teaches_length_alone(write_rows: Write, tmp_path: Path) -> None:
    calls, _ = logs_and_feedback()
    result = train("--from-spend-logs", write_rows(calls), "--out", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "80 used, 0 of them with feedback" in result.output


def test_a_log_tells_how_fast_each_deployment_is(write_rows: Write) -> None:
    def streamed(number: int, deployment: str) -> dict[str, Any]:
        sent = datetime(2026, 11, 1, tzinfo=timezone.utc) + timedelta(minutes=number)
        first, tokens = sent + timedelta(milliseconds=100), 20 + number
        return logged(
            startTime=sent.isoformat(),
            completionStartTime=first.isoformat(),
            endTime=(first + timedelta(milliseconds=20 * (tokens - 1))).isoformat(),
            model=f"hosted_vllm/{deployment}",
            model_id=deployment,
            completion_tokens=tokens,
        )

    rows = [streamed(n, "often") for n in range(40)] + [streamed(n, "seldom") for n in range(3)]
    told = latencies_of_calls(read_spend_logs(str(write_rows(rows))).calls)
    assert set(told) == {"often"}
    assert told["often"]["calls"] == 40
    assert told["often"]["ttft_ms"] == pytest.approx(100.0, rel=0.02)
    assert told["often"]["tpot_ms"] == pytest.approx(20.0, rel=0.02)


def test_the_card_tells_the_latencies_of_the_log(write_rows: Write, tmp_path: Path) -> None:
    calls, _ = logs_and_feedback()
    result = train("--from-spend-logs", write_rows(calls), "--out", tmp_path / "model")
    assert "latencies of 2 deployments" in result.output
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert {row["model"] for row in card["latency"].values()} == {"hosted_vllm/small", "hosted_vllm/large"}


def test_logs_stand_beside_graded_data(write_rows: Write) -> None:
    told, _ = answers_of_calls(read_spend_logs(str(write_rows([logged()], "logs.jsonl"))), {})
    row = {"prompt": "What is a balance?", "model": "small", "quality": 1.0}
    data = read_dataset([write_rows([row])], told)
    assert (data.rows, data.models) == (2, ("small",))
    assert (data.quality.tolist(), data.output_tokens.tolist()) == ([[1.0]], [[50.0]])


def test_wrong_feedback_is_named(write_rows: Write, tmp_path: Path) -> None:
    calls, _ = logs_and_feedback(20)
    wrong = write_rows([{"call_id": "c1", "score": 2}], "feedback.jsonl")
    result = train("--from-spend-logs", write_rows(calls), "--feedback", wrong, "--out", tmp_path / "model")
    assert result.exit_code == 1
    assert "row 1: score is 2; allowed is a number from 0 to 1" in result.output


def test_nothing_to_read_is_a_matter_of_usage(tmp_path: Path) -> None:
    assert train("--out", tmp_path / "model").exit_code == 2


def test_of_a_log_that_teaches_nothing_it_is_told_what_its_rows_are(
    write_rows: Write, tmp_path: Path
) -> None:
    log = write_rows([logged(startTime="yesterday"), logged(call_type="aembedding")])
    told = train("--from-spend-logs", log, "--out", tmp_path / "out")
    assert told.exit_code == 1
    assert "left out, without a time that can be read: 1 (1 chat); the first is" in told.stderr
    assert "startTime is 'yesterday'" in told.stderr
    assert "left out, of another kind: 1 (1 embedding)" in told.stderr
