"""Grades given to one of two workers move what both of them predict, over Redis."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import Proxy, Servers, chat, running_proxy, shared_state

pytestmark = pytest.mark.slow

STRONG, WEAK = "qwen2.5-72b-instruct", "qwen2.5-7b-instruct"
MATHEMATICS = "A train goes 60 miles in 45 minutes. How many miles does it go in 3 hours?"
CODE = "Write a python function that reverses a linked list."
GRADES = 30
PATIENCE_S = 60.0
"""Grades are exchanged every ten seconds."""
CONNECTIONS = 64
"""That are tried until each worker has accepted one."""


@pytest.fixture(scope="module")
def proxy(redis: RedisServer, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    arguments = {
        "weights": "quality",
        "redis": {"url": redis.url, "namespace": "learning"},
        "feedback": {"learn": True},
    }
    config = {
        "model_list": [
            servers.deployment(0, "strong", routebalance={"like": STRONG}),
            servers.deployment(1, "weak", routebalance={"like": WEAK}),
        ],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["strong", "weak"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": arguments,
                }
            ]
        },
    }
    with running_proxy(tmp_path_factory.mktemp("learning"), config, workers=2) as running:
        running.child.wait_until(lambda: len(shared_state(redis.url, "learning")["workers"]) == 2, PATIENCE_S)
        yield running


@pytest.fixture(scope="module")
def workers(proxy: Proxy) -> Iterator[list[httpx.Client]]:
    """A connection to each of the two workers; it stays with the worker that accepted it."""
    with ExitStack() as stack:
        found: dict[str, httpx.Client] = {}
        for _ in range(CONNECTIONS):
            client = stack.enter_context(proxy.client())
            found.setdefault(client.get("/routebalance/status").json()["worker"], client)
            if len(found) == 2:
                break
        assert len(found) == 2
        yield [*found.values()]


def predicted(worker: httpx.Client, prompt: str) -> dict[str, float]:
    """The quality that a worker expects of each deployment."""
    answer = worker.post("/routebalance/explain", json=chat("auto", prompt))
    assert answer.status_code == 200, answer.text
    return {one["deployment"]: one["quality"] for one in answer.json()["candidates"]}


def test_grades_given_to_one_worker_move_the_predictions_of_both(
    proxy: Proxy, workers: list[httpx.Client]
) -> None:
    graded, other = workers
    before = predicted(graded, MATHEMATICS)
    assert predicted(other, MATHEMATICS) == before
    assert before["strong-0"] > before["weak-1"]
    code = predicted(other, CODE)
    for _ in range(GRADES):
        answer = graded.post("/v1/chat/completions", json=chat("auto", MATHEMATICS, max_tokens=3))
        assert answer.status_code == 200, answer.text
        given = graded.post(
            "/routebalance/feedback",
            json={"call_id": answer.headers["x-litellm-call-id"], "thumbs": "down"},
        )
        assert given.status_code == 201, given.text
    told = predicted(graded, MATHEMATICS)
    assert told["strong-0"] < before["strong-0"] - 0.1

    def as_the_graded_one() -> bool:
        return predicted(other, MATHEMATICS) == pytest.approx(predicted(graded, MATHEMATICS), abs=0.01)

    proxy.child.wait_until(as_the_graded_one, PATIENCE_S)
    assert predicted(other, MATHEMATICS)["strong-0"] < before["strong-0"] - 0.1
    assert predicted(other, CODE) == pytest.approx(code, abs=0.02)
    learned = other.get("/routebalance/feedback").json()["learned"]
    assert sum(one["grades"] for one in learned.values()) == pytest.approx(GRADES, abs=2.0)
