"""Judged evaluation: money of a day and rate of a minute for all workers; what may be set; what is chosen."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from litellm import ModelResponse

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.config import SettingsError, ShadowEvaluationSettings, parse_settings
from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.litellm_adapter.proxy.shadow_evaluation import ShadowEvaluation, choices
from rb_litellm.litellm_adapter.shared.exchange.daily_budget import DAY_S, Budget, FileBudget, FleetBudget
from rb_litellm.litellm_adapter.shared.feedback_file import check_shadow_evaluation
from rb_litellm.litellm_adapter.worker import Worker
from rb_litellm.logs.kinds import MARK
from rb_litellm.logs.verdicts import Comparison, read_verdicts
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.sums import RedisSums
from rb_litellm.telemetry.records.decision import CandidateRecord, DecisionRecord


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(params=["file", "fleet"])
def budget_of(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Callable[[float, int, Callable[[], float]], Budget]:
    """Budgets by (USD a day, requests a minute, clock), of workers that share a file or a Redis."""
    if request.param == "file":
        return lambda usd, rate, wall: FileBudget(tmp_path / "budget", usd, rate, wall)
    server = request.getfixturevalue("redis_server")
    with server.client() as client:
        client.flushall()
    return lambda usd, rate, wall: FleetBudget(
        RedisSums(RedisSettings(url=server.url)), "evaluation", usd, rate, wall
    )


Budgets = Callable[[float, int, Callable[[], float]], Budget]
NOW = 1e9


async def test_no_more_is_reserved_than_the_day_holds_whoever_asks(budget_of: Budgets) -> None:
    workers = [budget_of(1.0, 100, lambda: NOW) for _ in range(4)]
    granted = await asyncio.gather(*(workers[n % 4].reserve(0.011) for n in range(200)))
    assert sum(granted) == 90


async def test_what_was_not_spent_is_free_again(budget_of: Budgets) -> None:
    one, other = (budget_of(1.0, 100, lambda: NOW) for _ in range(2))
    assert await one.reserve(0.9)
    assert not await other.reserve(0.2)
    await one.settle(0.9, 0.1)
    assert await other.reserve(0.2)
    assert not await one.reserve(0.71)
    assert await one.reserve(0.69)


async def test_a_new_day_and_a_new_minute_begin_with_nothing(budget_of: Budgets) -> None:
    now = [10 * DAY_S]
    one, other = (budget_of(1.0, 2, lambda: now[0]) for _ in range(2))
    assert [await budget.begin() for budget in (one, other, one)] == [True, True, False]
    now[0] += 60.0
    assert await other.begin()
    assert await one.reserve(1.0)
    assert not await other.reserve(0.01)
    now[0] += DAY_S
    assert await other.reserve(1.0)


@pytest.mark.parametrize("usd", [math.nan, math.inf, -0.1])
async def test_what_is_no_amount_is_never_reserved(budget_of: Budgets, usd: float) -> None:
    budget = budget_of(1.0, 2, lambda: NOW)
    assert not await budget.reserve(usd)
    assert await budget.reserve(1.0)
    assert not await budget.reserve(0.001)


@pytest.mark.parametrize(
    "content", ["not JSON", '{"day": 11574, "minute": 16666666, "asked": 0, "usd": NaN}']
)
async def test_a_damaged_file_counts_as_spent(tmp_path: Path, content: str) -> None:
    (tmp_path / "budget").write_text(content)
    budget = FileBudget(tmp_path / "budget", 1.0, 2, lambda: NOW)
    assert not await budget.begin()
    assert not await budget.reserve(0.1)


async def test_a_damaged_sum_counts_as_spent(redis_server: RedisServer) -> None:
    sums = RedisSums(RedisSettings(url=redis_server.url))
    with redis_server.client() as client:
        client.flushall()
        assert await sums.add("a", 0.5, 1.0, 60.0)
        (key,) = client.keys()
        for damage in ("much", "nan"):
            client.set(key, damage)
            assert not await sums.add("a", 0.1, 1.0, 60.0)
        client.delete(key)
        client.lpush(key, "x")
        assert not await sums.add("a", 0.1, 1.0, 60.0)
    await sums.close()


async def test_without_an_answer_of_redis_nothing_is_begun() -> None:
    sums = RedisSums(RedisSettings(url="redis://127.0.0.1:1/0"))
    with pytest.raises(redis.RedisError):
        await FleetBudget(sums, "evaluation", 1.0, 2, lambda: NOW).begin()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mode": "active"}, "needs mode: shadow"),
        ({"path": "/nowhere/verdicts.jsonl"}, "stands in a folder that does not exist"),
    ],
)
def test_an_evaluation_that_cannot_be_is_named_when_the_proxy_starts(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    path = change.get("path", str(tmp_path / "verdicts.jsonl"))
    args = {
        "mode": change.get("mode", "shadow"),
        "shadow_evaluation": {"judge": "judge", "path": path, "usd_per_day": 1.0},
    }
    with pytest.raises(SettingsError, match=said):
        check_shadow_evaluation(parse_settings(args, "here"), "here")


def test_each_weighting_chooses_the_best_of_the_candidates_that_no_filter_removed() -> None:
    def candidate(name: str, quality: float, usd: float, **more: object) -> CandidateRecord:
        told = {"deployment": name, "model": name, "quality": quality, "e2e_s": 1.0, "cost_usd": usd}
        return {**told, **more}  # type: ignore[typeddict-item, return-value]

    good, cheap = candidate("good", 0.9, 0.01), candidate("cheap", 0.3, 0.001)
    gone = candidate("gone", 0.99, 0.0, failed=["slo"])
    record = DecisionRecord("c", 0, "cheap", "cheap", 3, "shadow", 0.0, top=(good, cheap, gone), would=good)
    told = choices(record, {"thrifty": PRESETS["cheapest"], "best": PRESETS["quality"]})
    assert {name: one["model"] for name, one in told.items()} == {
        "weights": "good",
        "thrifty": "cheap",
        "best": "good",
    }


def entry(group: str, usd: float | None) -> dict[str, Any]:
    params: dict[str, Any] = {"model": f"hosted_vllm/{group}", "api_base": "http://127.0.0.1:9/v1"}
    if usd is not None:
        params |= {"input_cost_per_token": usd, "output_cost_per_token": usd}
    return {"model_name": group, "litellm_params": params, "model_info": {"id": f"{group}-1"}}


def answered(text: str | None, calls: Sequence[Any] = ()) -> ModelResponse:
    message = {"role": "assistant", "content": text, "tool_calls": list(calls) or None}
    usage = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}
    return ModelResponse(choices=[{"message": message, "finish_reason": "stop"}], usage=usage)


class Evaluated:
    """Evaluation of one request whose answer came from `small`, where `large` would have been chosen."""

    def __init__(self, path: Path, prices: Mapping[str, float | None]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.worker = Worker()
        self.path = path
        self.worker.runtime.shadow_evaluation = ShadowEvaluationSettings(
            judge="judge", path=str(path), usd_per_day=1.0, share=1.0
        )
        router = SimpleNamespace(model_list=[entry(name, usd) for name, usd in prices.items()])
        self.evaluation = ShadowEvaluation(self.worker, self.answer, lambda: router)
        would: Any = {
            "deployment": "large-1",
            "model": "large",
            "quality": 0.9,
            "e2e_s": 1.0,
            "cost_usd": 0.1,
        }
        record = DecisionRecord("c", 0, "small-1", "small", 2, "shadow", 0.0, top=(would,), would=would)
        self.worker.accounting.decision = lambda _: record  # type: ignore[method-assign, assignment]

    async def answer(self, **call: Any) -> ModelResponse:
        self.asked.append(call)
        return answered("VERDICT: TIE" if call["model"].endswith("judge") else "Better.")

    async def hear(self, body: Mapping[str, Any], response: ModelResponse, **more: Any) -> None:
        told = {"call_type": "acompletion", "litellm_call_id": "c", "response_cost": 0.001, **more}
        told["litellm_params"] = {"proxy_server_request": {"body": body}, **more.get("litellm_params", {})}
        now = datetime.now(timezone.utc)
        await self.evaluation.async_log_success_event(told, response, now, now + timedelta(seconds=1))
        await self.evaluation.settled()

    def verdicts(self) -> list[Comparison]:
        return list(read_verdicts(self.path)) if self.path.exists() else []


PRICED = {"small": 1e-6, "large": 1e-6, "judge": 0.0}
BODY = {"model": "auto", "messages": [{"role": "user", "content": "Is it wet in Oslo?"}]}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "of a city", "parameters": {}}}]


@pytest.mark.parametrize("unpriced", ["large", "judge"])
async def test_a_model_without_a_price_is_asked_nothing_and_it_is_told(
    tmp_path: Path, unpriced: str, caplog: pytest.LogCaptureFixture
) -> None:
    told = Evaluated(tmp_path / "verdicts.jsonl", {**PRICED, unpriced: None})
    await told.hear(BODY, answered("Yes."))
    assert not told.asked
    assert f"no price is known for hosted_vllm/{unpriced}" in caplog.text


async def test_its_calls_are_marked_as_nobodys(tmp_path: Path) -> None:
    told = Evaluated(tmp_path / "verdicts.jsonl", PRICED)
    await told.hear(BODY, answered("Yes."))
    assert [call["model"] for call in told.asked] == ["hosted_vllm/large", *["hosted_vllm/judge"] * 2]
    for call in told.asked:
        assert call["metadata"]["tags"] == [MARK]
        assert call["metadata"]["user_api_key_user_id"] == MARK
        assert "user_api_key" not in call["metadata"]
    (verdict,) = told.verdicts()
    assert (verdict.outcome, verdict.would_usd) == ("tie", pytest.approx(45e-6))


async def test_an_answer_that_calls_tools_is_compared(tmp_path: Path) -> None:
    told = Evaluated(tmp_path / "verdicts.jsonl", PRICED)
    call = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    await told.hear({**BODY, "tools": TOOLS, "tool_choice": "auto"}, answered(None, [call]))
    assert told.asked[0]["tools"] == TOOLS
    assert told.asked[0]["tool_choice"] == "auto"
    shown = told.asked[1]["messages"][-1]["content"]
    assert "weather: of a city" in shown
    assert 'calls the tool weather with {"city": "Oslo"}' in shown
    assert told.verdicts()[0].kind == "structured"


async def test_a_request_that_is_not_to_be_logged_is_not_evaluated(tmp_path: Path) -> None:
    told = Evaluated(tmp_path / "verdicts.jsonl", PRICED)
    await told.hear({**BODY, "no-log": True}, answered("Yes."))
    await told.hear(BODY, answered("Yes."), litellm_params={"no-log": True})
    assert not told.asked
