"""Prometheus' series of a real proxy with two workers: either of them answers for both, exactly."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.e2e.proxy import Proxy, Servers, chat, running_proxy
from tests.e2e.scrapes import scrape

pytestmark = pytest.mark.slow
ON_LITELLMS = "/metrics"
ON_OURS = "/routebalance/metrics"


@pytest.fixture(scope="module", params=[ON_OURS, ON_LITELLMS])
def path(request: pytest.FixtureRequest) -> str:
    given: str = request.param
    return given


@pytest.fixture(scope="module")
def proxy(
    path: str, redis: RedisServer, servers: Servers, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    shared = {"redis": {"url": redis.url, "namespace": f"metrics{path.count('/')}"}}
    config: dict[str, Any] = {
        "model_list": [
            servers.deployment(0, "small", routebalance={"quality": 0.3, "tpot_ms": 1.2}),
            servers.deployment(1, "small", routebalance={"quality": 0.3, "tpot_ms": 1.2}),
            servers.deployment(2, "large", routebalance={"quality": 0.9, "tpot_ms": 1.2}),
        ],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {**shared, "weights": "balanced", "baseline": "large"},
                }
            ],
            "num_retries": 2,
            "retry_after": 0,
            "disable_cooldowns": True,
        },
    }
    if path == ON_LITELLMS:
        config["litellm_settings"] = {"callbacks": ["prometheus"]}
    with running_proxy(tmp_path_factory.mktemp("metrics"), config, workers=2) as running:
        yield running


def ask(proxy: Proxy, count: int, **fields: Any) -> None:
    # A connection of its own for each, so that both workers take some.
    for _ in range(count):
        with proxy.client() as client:
            response = client.post("/v1/chat/completions", json=chat("auto", max_tokens=10, **fields))
            assert response.status_code == 200, response.text


def settled(proxy: Proxy, path: str, decisions: int) -> bool:
    told = scrape(proxy, path)
    return (
        told.total("decisions_total") == decisions
        and told.total("deployment_in_flight") == 0
        and told.total("attempts_closed_total") == decisions
    )


def test_sums_over_both_workers_are_right_to_the_request(proxy: Proxy, path: str) -> None:
    before = scrape(proxy, path).total("decisions_total")
    assert before == 0
    ask(proxy, 24)
    ask(proxy, 12, stream=True)
    proxy.child.wait_until(lambda: settled(proxy, path, 36), 30.0)
    told = scrape(proxy, path)
    assert told.total("decision_seconds_count") == 36
    proxy.child.wait_until(lambda: scrape(proxy, path).total("measured_e2e_seconds_count") == 36, 30.0)
    told = scrape(proxy, path)
    # Answers in one piece show no first token, unless they are shorter than this.
    assert told.total("predicted_ttft_seconds_count") == told.total("measured_ttft_seconds_count") == 12
    assert told.total("measured_output_tokens_sum") == 36 * 10
    assert told.total("ledger_open_attempts") == 0
    assert told.total("cost_usd_total") == pytest.approx(told.total("compared_cost_usd_total"))
    assert told.total("baseline_cost_usd_total") > 0
    assert told.labels("decisions_total", "model") <= {"small", "large"}


def test_the_same_is_said_whichever_worker_answers(proxy: Proxy, path: str) -> None:
    assert {scrape(proxy, path).total("decisions_total") for _ in range(8)} == {36.0}


def test_both_workers_hear_each_other_and_route_by_us(proxy: Proxy, path: str) -> None:
    def told() -> bool:
        found = scrape(proxy, path)
        return (
            found.total("peers") == 1
            and found.total("strategy_active") == 1
            and found.total("redis_up") == 1
            and found.total("state_age_seconds") < 5
        )

    proxy.child.wait_until(told, 30.0)


def test_every_deployment_has_its_load_and_wait(proxy: Proxy, path: str) -> None:
    told = scrape(proxy, path)
    for name in ("deployment_in_flight", "deployment_predicted_wait_seconds", "deployment_slowdown_ratio"):
        assert told.labels(name, "deployment") == {"small-0", "small-1", "large-2"}
        assert told.labels(name, "model") == {"small", "large"}


def test_retries_have_their_own_label(proxy: Proxy, path: str, servers: Servers) -> None:
    before = scrape(proxy, path)
    servers.fault(2, error_rate=1.0, status=500)
    try:
        ask(proxy, 4)
    finally:
        servers.fault(2)
    attempts = before.total("decisions_total") + 4

    def counted() -> bool:
        told = scrape(proxy, path)
        firsts = told.total("decisions_total", fallback="none")
        return firsts == attempts and told.total("decisions_total", fallback="retry") > 0

    proxy.child.wait_until(counted, 30.0)


def test_a_scraper_needs_a_key(proxy: Proxy, path: str) -> None:
    assert httpx.get(f"{proxy.url}{path}", follow_redirects=True).status_code >= 400


def test_a_worker_that_was_killed_leaves_no_load_behind(proxy: Proxy, path: str) -> None:
    pid = _worker(proxy).split("-")[-2]
    os.kill(int(pid), signal.SIGKILL)
    # The supervisor starts another one, which drops what the dead one said of its load. If it was just
    # waiting for the dead one to answer, it goes on for as long as `--timeout_worker_healthcheck` lets it.
    proxy.child.wait_until(lambda: _restarted(proxy, pid), 300.0)
    assert scrape(proxy, path).total("deployment_in_flight") == 0
    assert scrape(proxy, path).total("decisions_total") > 36


def _worker(proxy: Proxy) -> str:
    with proxy.client() as client:
        return str(client.get("/routebalance/status").json()["worker"])


def _restarted(proxy: Proxy, pid: str) -> bool:
    try:
        workers = {_worker(proxy) for _ in range(6)}
    except httpx.HTTPError:
        return False
    return len(workers) == 2 and not any(f"-{pid}-" in worker for worker in workers)
