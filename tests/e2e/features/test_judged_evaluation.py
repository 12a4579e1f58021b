"""Judged shadow evaluation through a real proxy: a judge that is right in 80% finds the better model.

The models and the judge are servers of this test, which know the truth, and count what they were asked for.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from click.testing import CliRunner

from rb_litellm.cli import main
from rb_litellm.logs.classify import EVALUATION
from rb_litellm.logs.kinds import MARK
from rb_litellm.logs.spend_logs import read_spend_logs
from tests.e2e.proxy import Proxy, chat, running_proxy
from tests.e2e.upstream import serving_chats

pytestmark = pytest.mark.slow
RIGHT = 0.8
PRICES = {"weak": (1e-6, 2e-6), "strong": (4e-6, 8e-6), "judge": (2e-6, 2e-6)}
REQUESTS = 260
ANSWER_TOKENS = 40


@dataclass
class Providers:
    """Three models behind one address; money is what their usage costs at PRICES."""

    url: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    money: Counter[str] = field(default_factory=Counter)
    seen: list[dict[str, Any]] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(0))

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        model = body["model"]
        text = f"{model.upper()} answers at length."
        if model == "judge":
            self.seen.append(body)
            shown = body["messages"][-1]["content"]
            first_is_strong = shown.index("STRONG") < shown.index("WEAK")
            right = self.dice.random() < RIGHT
            text = f"It is better.\nVERDICT: {1 if first_is_strong == right else 2}"
        usage = {"prompt_tokens": 50, "completion_tokens": ANSWER_TOKENS, "total_tokens": 50 + ANSWER_TOKENS}
        self.asked[model] += 1
        self.money[model] += 50 * PRICES[model][0] + ANSWER_TOKENS * PRICES[model][1]
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        document = {"id": f"{model}-{uuid4().hex}", "object": "chat.completion", "created": 1, "model": model}
        return web.json_response({**document, "choices": [choice], "usage": usage})


@pytest.fixture
def providers() -> Iterator[Providers]:
    told = Providers()
    with serving_chats(told.answer) as told.url:
        yield told


def configuration(providers: Providers, path: Path, usd_per_day: float) -> dict[str, Any]:
    def entry(name: str, quality: float) -> dict[str, Any]:
        return {
            "model_name": name,
            "litellm_params": {
                "model": f"hosted_vllm/{name}",
                "api_base": providers.url,
                "api_key": "none",
                "input_cost_per_token": PRICES[name][0],
                "output_cost_per_token": PRICES[name][1],
            },
            "model_info": {
                "id": f"{name}-1",
                "routebalance": {"quality": quality, "output_tokens": ANSWER_TOKENS},
            },
        }

    evaluation = {
        "judge": "judge",
        "path": str(path),
        "usd_per_day": usd_per_day,
        "share": 1.0,
        "per_minute": 10_000,
        "max_tokens": 200,
        "candidates": {"thrifty": "cheapest"},
    }
    return {
        "model_list": [entry("weak", 0.2), entry("strong", 0.9), entry("judge", 0.5)],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["weak", "strong"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "mode": "shadow",
                        "weights": {"quality": 1.0, "latency": 0.0, "cost": 0.0},
                        "shadow_evaluation": evaluation,
                        "feedback": {"learn": True},
                    },
                }
            ]
        },
    }


def send(proxy: Proxy, count: int = REQUESTS) -> None:
    with proxy.client() as client:
        for number in range(count):
            response = client.post(
                "/v1/chat/completions", json=chat("auto", f"Question {number}?", max_tokens=100)
            )
            assert response.status_code == 200, response.text
            assert "VERDICT" not in response.text


def settled(path: Path, budget: Path) -> list[dict[str, Any]]:
    """The verdicts, when no more come."""
    seen, quiet, deadline = -1, 0, time.monotonic() + 60.0
    while quiet < 6 and time.monotonic() < deadline:
        size = path.stat().st_size + budget.stat().st_mtime_ns if path.exists() and budget.exists() else 0
        quiet = quiet + 1 if size == seen else 0
        seen = size
        time.sleep(0.5)
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_better_model_is_found_and_every_cent_is_counted(providers: Providers, tmp_path: Path) -> None:
    path, budget = tmp_path / "verdicts.jsonl", tmp_path / "verdicts.jsonl.budget"
    with running_proxy(tmp_path / "proxy", configuration(providers, path, 10.0)) as proxy:
        send(proxy)
        verdicts = settled(path, budget)
        with proxy.client() as client:
            learned = client.get("/routebalance/feedback").json()["learned"]
    assert len(verdicts) >= 2 * 0.95 * REQUESTS
    report = json.loads(CliRunner().invoke(main, ["shadow-report", "--judged", str(path), "--json"]).stdout)
    told = {one["candidate"]: one for one in report["candidates"]}
    print(json.dumps(report, indent=1), providers.asked)
    assert told["weights"]["decided"] == "better"
    assert told["weights"]["cost_change"] > 0
    assert told["thrifty"]["decided"] == "worse"
    assert told["thrifty"]["cost_change"] < 0
    (pair,) = told["weights"]["pairs"]
    # Right both times 0.64, wrong both times 0.04.
    assert pair["net"] == pytest.approx(RIGHT**2 - (1 - RIGHT) ** 2, abs=0.15)
    # The clients' own answers are paid by LiteLLM's ledger; all others by this budget.
    own = sum(one["served"] == "weak" for one in verdicts if one["candidate"] == "weights")
    clients = {"weak": own, "strong": REQUESTS - own}
    extra = {model: providers.asked[model] - clients.get(model, 0) for model in PRICES}
    each = {model: 50 * a + ANSWER_TOKENS * b for model, (a, b) in PRICES.items()}
    spent = json.loads(budget.read_text())["usd"]
    assert spent == pytest.approx(sum(extra[model] * each[model] for model in PRICES), abs=0.005)
    assert spent <= 10.0
    # Each comparison says half as much of each of the two models as a grade.
    for name in ("weak", "strong"):
        graded = sum(one["grades"] for key, one in learned.items() if key.endswith(f"|hosted_vllm/{name}"))
        assert graded == pytest.approx(REQUESTS / 2, rel=0.25)
    shown = json.dumps(providers.seen)
    assert "weak-1" not in shown
    for line in path.read_text().splitlines():
        assert "Question" not in line
        assert "answers at length" not in line


def test_no_more_is_spent_than_the_day_holds(providers: Providers, tmp_path: Path) -> None:
    path, budget, usd = tmp_path / "verdicts.jsonl", tmp_path / "verdicts.jsonl.budget", 0.02
    with running_proxy(tmp_path / "proxy", configuration(providers, path, usd)) as proxy:
        send(proxy, 80)
        settled(path, budget)
    each = {model: 50 * a + ANSWER_TOKENS * b for model, (a, b) in PRICES.items()}
    judged = providers.asked["judge"] * each["judge"]
    answered = sum(providers.money.values()) - judged
    clients = 80 * each["weak"]  # At least; the strong ones cost more.
    spent = json.loads(budget.read_text())["usd"]
    assert 0.5 * usd < spent <= usd
    assert judged + max(answered - 80 * each["strong"], 0.0) <= usd
    assert clients < answered


@pytest.mark.skipif(not os.environ.get("DATABASE_URL"), reason="DATABASE_URL names no PostgreSQL")
@pytest.mark.skipif(importlib.util.find_spec("prisma") is None, reason="prisma is not installed")
def test_its_calls_stand_in_litellms_spend_and_on_nobodys_key(providers: Providers, tmp_path: Path) -> None:
    path, budget = tmp_path / "verdicts.jsonl", tmp_path / "verdicts.jsonl.budget"
    config = configuration(providers, path, 10.0)
    config["general_settings"] = {"proxy_batch_write_at": 2}
    env = {
        name: value
        for name, value in os.environ.items()
        if name in ("DATABASE_URL", "DISABLE_SCHEMA_UPDATE") or name.startswith("PRISMA_")
    }
    before = spend_of_evaluations()
    with running_proxy(tmp_path / "proxy", config, env=env) as proxy:
        send(proxy, 20)
        settled(path, budget)
        spent = json.loads(budget.read_text())["usd"]
        deadline = time.monotonic() + 60.0
        while spend_of_evaluations()[0] < before[0] + 60 and time.monotonic() < deadline:
            time.sleep(1.0)
        after = spend_of_evaluations()
    # Each request: one further answer, judged twice.
    assert after[0] - before[0] == 60
    assert after[1] - before[1] == pytest.approx(spent, abs=0.005)
    read = read_spend_logs(os.environ["DATABASE_URL"], 20)
    assert len(read.calls) == 20
    assert not any(call.deployment == MARK for call in read.calls)
    assert sum(rows for (why, _), rows in read.report.left_out.items() if why == EVALUATION) > 0


def spend_of_evaluations() -> tuple[int, float]:
    """Rows of LiteLLM's spend logs that are evaluation's, and their money; none has a key."""
    import psycopg

    query = (
        "SELECT count(*), coalesce(sum(spend), 0), coalesce(max(api_key), '') FROM \"LiteLLM_SpendLogs\" "
        'WHERE "user" = %s'
    )
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute(query, (MARK,)).fetchone()
    assert row is not None
    assert not row[2]
    return int(row[0]), float(row[1])
