"""What one of two workers is told moves what both expect, over Redis: users' grades, a judge's verdicts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.judged_models import Models, entry
from tests.e2e.judged_proxy import JUDGE, PRICED, serving_models
from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy, shared_state

pytestmark = pytest.mark.slow

STRONG, WEAK = "qwen2.5-72b-instruct", "qwen2.5-7b-instruct"
MATHEMATICS = "A train goes 60 miles in 45 minutes. How many miles does it go in 3 hours?"
CODE = "Write a python function that reverses a linked list."
GRADES = 30
VERDICTS = 20
PATIENCE_S = 60.0
"""Grades are exchanged every ten seconds."""
CONNECTIONS = 64
"""That are tried until a worker has accepted one."""


@pytest.fixture(scope="module")
def judged() -> Iterator[Models]:
    """A small model, a large one and a judge that accepts every answer."""
    with serving_models() as models:
        yield models


@pytest.fixture
def proxy(redis: RedisServer, servers: Servers, judged: Models, tmp_path: Path) -> Iterator[Proxy]:
    # Of its own for each try: what grades have taught stays in Redis.
    namespace = f"learning-{uuid4()}"
    arguments = {
        "weights": "quality",
        "redis": {"url": redis.url, "namespace": namespace},
        "feedback": {"learn": True},
    }
    config = {
        "model_list": [
            servers.deployment(0, "strong", routebalance={"like": STRONG}),
            servers.deployment(1, "weak", routebalance={"like": WEAK}),
            entry(judged, "small", 0.6),
            entry(judged, "large", 0.8),
            entry(judged, "judge", 0.5),
        ],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["strong", "weak"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": arguments,
                },
                {
                    "group_name": "judged",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {**PRICED, "cascade": {"judge": JUDGE, "dependence": 0.0}},
                },
            ]
        },
    }
    with running_proxy(tmp_path, config, workers=2) as running:
        running.child.wait_until(lambda: len(shared_state(redis.url, namespace)["workers"]) == 2, PATIENCE_S)
        yield running


def worker_of(client: httpx.Client) -> str:
    name: str = client.get("/routebalance/status").json()["worker"]
    return name


@contextmanager
def connected(proxy: Proxy, worker: str) -> Iterator[httpx.Client]:
    """A new connection to this worker: an older one may have lapsed, and would then be to any."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS):
            client = stack.enter_context(proxy.client())
            if worker_of(client) == worker:
                yield client
                return
        pytest.fail(f"no connection to {worker}")


def two_workers(proxy: Proxy) -> tuple[str, str]:
    with ExitStack() as stack:
        found = {worker_of(stack.enter_context(proxy.client())) for _ in range(CONNECTIONS)}
    one, other = found
    return one, other


def test_what_one_worker_is_told_moves_the_predictions_of_both(proxy: Proxy) -> None:
    grades_move_both(proxy)
    verdicts_move_both(proxy)


def verdicts_move_both(proxy: Proxy) -> None:
    def escalated(worker: str) -> float:
        """How often a worker expects its judge to call the small model's answer poor."""
        with connected(proxy, worker) as client:
            told = client.post("/routebalance/explain", json=chat("judged")).json()
        share: float = told["cascade"]["escalated"]
        return share

    asked, other = two_workers(proxy)
    stated = escalated(other)
    assert escalated(asked) == stated
    with connected(proxy, asked) as client:
        for _ in range(VERDICTS):
            answer = client.post("/v1/chat/completions", json=chat("judged"))
            assert routed(answer)["cascade"] == "kept", answer.text
    learned = escalated(asked)
    assert learned < stated - 0.02
    proxy.child.wait_until(lambda: escalated(other) == pytest.approx(learned, abs=1e-3), PATIENCE_S)
    assert escalated(asked) == pytest.approx(learned, abs=1e-3)


def grades_move_both(proxy: Proxy) -> None:
    def predicted(worker: str, prompt: str) -> dict[str, float]:
        """The quality that a worker expects of each deployment."""
        with connected(proxy, worker) as client:
            answer = client.post("/routebalance/explain", json=chat("auto", prompt))
        assert answer.status_code == 200, answer.text
        return {one["deployment"]: one["quality"] for one in answer.json()["candidates"]}

    def grade_one_answer(client: httpx.Client) -> None:
        answer = client.post("/v1/chat/completions", json=chat("auto", MATHEMATICS, max_tokens=3))
        assert answer.status_code == 200, answer.text
        call = answer.headers["x-litellm-call-id"]
        given = client.post("/routebalance/feedback", json={"call_id": call, "thumbs": "down"})
        assert given.status_code == 201, given.text

    def known(worker: str) -> float:
        with connected(proxy, worker) as client:
            learned = client.get("/routebalance/feedback").json()["learned"]
        return sum(one["grades"] for one in learned.values())

    graded, other = two_workers(proxy)
    before = predicted(graded, MATHEMATICS)
    assert predicted(other, MATHEMATICS) == before
    assert before["strong-0"] > before["weak-1"]
    code = predicted(other, CODE)

    with connected(proxy, graded) as client:
        for _ in range(GRADES):
            grade_one_answer(client)
    proxy.child.wait_until(lambda: known(other) == pytest.approx(GRADES, abs=2.0), PATIENCE_S)

    told = predicted(other, MATHEMATICS)
    assert told == pytest.approx(predicted(graded, MATHEMATICS), abs=0.01)
    assert told["strong-0"] < before["strong-0"] - 0.1
    assert predicted(other, CODE) == pytest.approx(code, abs=0.02)
