"""LiteLLM's Admin UI with a real PostgreSQL: what its pages read and write, over two workers and a restart.

Needs DATABASE_URL of a PostgreSQL with LiteLLM's tables and Prisma's engine (LiteLLM's image carries one).
"""

from __future__ import annotations

import importlib.util
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from rb_litellm.bench.real.placeholder_predictor import train_placeholder
from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.demo.admin_pictures import sign_in
from rb_litellm.demo.chromium import browser, chromium
from rb_litellm.litellm_adapter.hosts.settings.page import FIELD
from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("DATABASE_URL"), reason="DATABASE_URL names no PostgreSQL"),
    pytest.mark.skipif(importlib.util.find_spec("prisma") is None, reason="prisma is not installed"),
]
PASSED_ON = ("DATABASE_URL", "DISABLE_SCHEMA_UPDATE", "STORE_MODEL_IN_DB", "UI_USERNAME", "UI_PASSWORD")
# LiteLLM reads its database every 30 s; a worker that RouteBalance has once served in does so every 2 s.
EVERY_WORKER_S = 90.0
WITHIN_S = 5.0
Start = Callable[[], AbstractContextManager[Proxy]]


@pytest.fixture(scope="module")
def start(redis: RedisServer, servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Starts the proxy; what is edited in the Admin UI must not be fixed in the file, so it is not there."""
    known = {"tpot_ms": 1.2, "ttft_ms": 5.0}
    large = servers.deployment(1, "large", routebalance={"quality": 0.9, **known})
    large["litellm_params"] |= {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}
    config = {
        "model_list": [servers.deployment(0, "small", routebalance={"quality": 0.3, **known}), large],
        "general_settings": {"store_model_in_db": True, "proxy_batch_write_at": 2},
    }
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env |= {name: value for name, value in os.environ.items() if name.startswith("PRISMA_")}
    env["REDIS_URL"] = redis.url
    return lambda: running_proxy(tmp_path_factory.mktemp("admin"), config, workers=2, env=env)


@pytest.fixture(scope="module")
def proxy(start: Start) -> Iterator[Proxy]:
    with start() as running:
        save(running, "simple-shuffle", {})
        yield running


GROUP = {"group_name": "auto", "models": ["small", "large"], "routing_strategy": "routebalance"}


def update(proxy: Proxy, strategy: str, args: dict[str, Any], of_group: Any = None) -> httpx.Response:
    """What the Router Settings page does when it is saved."""
    group = {**GROUP, "routing_strategy_args": args if of_group is None else of_group}
    groups = [group] if strategy == "routebalance" else []
    settings = {"routing_strategy": strategy, "routing_strategy_args": args, "routing_groups": groups}
    with proxy.client() as client:
        return client.post("/config/update", json={"router_settings": settings})


def save(proxy: Proxy, strategy: str, args: dict[str, Any]) -> None:
    response = update(proxy, strategy, args)
    assert response.status_code == 200, response.text


def arguments(proxy: Proxy, group: str | None = None) -> dict[str, Any]:
    """What each of the workers that answer routes by: our arguments, or None."""
    found = {}
    for _ in range(16):
        with proxy.client() as client:
            response = client.get("/routebalance/status")
        if response.status_code == 200:
            told = response.json()
            own = [one["arguments"] for one in told["strategies"] if one["group"] == group]
            found[told["worker"]] = own[0] if own else None
    return found


def both(proxy: Proxy, wanted: Any, group: str | None = None) -> None:
    """Wait until each of the two workers routes by these arguments, or, with None, not by us."""

    def reached() -> bool:
        found = arguments(proxy, group)
        return len(found) == 2 and all(one == wanted for one in found.values())

    proxy.child.wait_until(reached, EVERY_WORKER_S)


def answers(proxy: Proxy, count: int = 16) -> list[dict[str, str]]:
    """Our headers of answers to `auto`, over connections of their own, so that both workers are asked."""
    found = []
    for _ in range(count):
        with proxy.client() as client:
            response = client.post("/v1/chat/completions", json=chat("auto", max_tokens=3))
        assert response.status_code == 200, response.text
        found.append(routed(response))
    return found


def models(proxy: Proxy) -> set[str]:
    return {headers["model"] for headers in answers(proxy)}


def get(proxy: Proxy, path: str, **params: Any) -> Any:
    with proxy.client() as client:
        response = client.get(path, params=params)
    assert response.status_code == 200, response.text
    return response.json()


WEIGHTS = {"weights": {"quality": 0.7, "latency": 0.2, "cost": 0.1}}


def test_router_settings_offer_the_strategy_with_its_description(proxy: Proxy) -> None:
    for path in ("/router/fields", "/router/settings"):
        told = get(proxy, path)
        (field,) = [f for f in told["fields"] if f["field_name"] == "routing_strategy"]
        assert "quality" in told["routing_strategy_descriptions"]["routebalance"]
        assert "routebalance" in told["routing_group_strategies"]
        if path == "/router/settings":
            assert "routebalance" in field["options"]


def test_saving_it_reaches_both_workers(proxy: Proxy) -> None:
    save(proxy, "routebalance", WEIGHTS)
    both(proxy, WEIGHTS)
    assert get(proxy, "/router/settings")["current_values"]["routing_strategy_args"] == WEIGHTS


@pytest.mark.parametrize("stream", [False, True])
def test_a_requests_row_and_its_detail_carry_the_decision(proxy: Proxy, stream: bool) -> None:
    body = chat("auto", max_tokens=12, stream=stream, user=f"reader-{stream}-{time.time_ns()}")
    with proxy.client() as client:
        response = client.post("/v1/chat/completions", json=body)
    assert routed(response)["reason"] == "joint"
    rows: list[dict[str, Any]] = []

    def written() -> bool:
        day = "%Y-%m-%d"
        told = get(
            proxy,
            "/spend/logs/ui",
            start_date=time.strftime(day, time.gmtime(time.time() - 86400)) + " 00:00:00",
            end_date=time.strftime(day, time.gmtime(time.time() + 86400)) + " 00:00:00",
            page_size=50,
        )
        rows[:] = [row for row in told["data"] if row["end_user"] == body["user"]]
        return bool(rows)

    proxy.child.wait_until(written, 60.0)
    decision = rows[0]["metadata"]["routing_decision"]
    assert decision["router_type"] == "routebalance"
    assert decision["router_model_name"] == "auto"
    assert decision["routed_model"] == routed(response)["model"]
    detail = decision["routebalance"]
    assert detail["deployment"] == rows[0]["model_id"]
    assert detail["measured"]["output_tokens"] == 12
    assert len(detail["top"]) == 2


def test_models_show_the_group_and_what_is_known_of_a_deployment(proxy: Proxy) -> None:
    known = {m["model_info"]["id"]: m["model_info"] for m in get(proxy, "/v1/model/info")["data"]}
    assert known["large-1"]["routebalance"]["quality"] == 0.9
    assert "auto" in {m["id"] for m in get(proxy, "/v1/models")["data"]}


def test_another_strategy_and_back(proxy: Proxy) -> None:
    save(proxy, "simple-shuffle", {})
    both(proxy, None)
    with proxy.client() as client:
        assert routed(client.post("/v1/chat/completions", json=chat("small", max_tokens=3))) == {}
    save(proxy, "routebalance", {"weights": "cost"})
    both(proxy, {"weights": "cost"})
    with proxy.client() as client:
        response = client.post("/v1/chat/completions", json=chat("small", max_tokens=3))
    assert routed(response)["reason"] == "only-candidate"


def test_it_survives_a_restart(proxy: Proxy, start: Start) -> None:
    save(proxy, "routebalance", WEIGHTS)
    with start() as again:
        both(again, WEIGHTS)


@pytest.fixture
def ours(proxy: Proxy) -> Iterator[Proxy]:
    """Both workers route by cost; afterwards as well."""
    save(proxy, "routebalance", {"weights": "cost"})
    both(proxy, {"weights": "cost"})
    yield proxy
    save(proxy, "routebalance", {"weights": "cost"})


def test_other_weights_decide_in_every_worker_within_5_s(ours: Proxy) -> None:
    assert models(ours) == {"small"}
    save(ours, "routebalance", {"weights": "quality"})
    time.sleep(WITHIN_S)
    assert models(ours) == {"large"}


def test_a_default_slo_decides_in_every_worker_within_5_s(ours: Proxy) -> None:
    save(ours, "routebalance", {"weights": "cost", "slo": {"quality_min": 0.5, "mode": "strict"}})
    time.sleep(WITHIN_S)
    assert models(ours) == {"large"}


def test_the_mode_changes_in_every_worker_within_5_s_and_back(ours: Proxy) -> None:
    shadow = {"weights": "cost", "mode": "shadow", "base_strategy": "simple-shuffle"}
    save(ours, "routebalance", shadow)
    time.sleep(WITHIN_S)
    assert {headers["reason"] for headers in answers(ours)} == {"shadow"}
    save(ours, "routebalance", {"weights": "cost"})
    time.sleep(WITHIN_S)
    assert {headers["reason"] for headers in answers(ours)} == {"joint"}


def test_a_predictor_is_taken_up_in_every_worker_within_5_s_and_given_up(ours: Proxy, tmp_path: Path) -> None:
    version = train_placeholder(["small", "large"], tmp_path / "predictor").version
    save(ours, "routebalance", {"weights": "cost", "predictor": {"path": str(tmp_path / "predictor")}})
    time.sleep(WITHIN_S)
    assert predictors(ours) == {version}
    save(ours, "routebalance", {"weights": "cost"})
    time.sleep(WITHIN_S)
    assert predictors(ours) == {None}


@pytest.fixture
def page(ours: Proxy) -> Iterator[Any]:
    """The Router Settings page of somebody who has signed in."""
    pytest.importorskip("playwright", reason="pip install playwright")
    if chromium() is None:
        pytest.skip("no Chromium is installed")
    with browser() as running:
        page = running.new_page()
        page.set_default_timeout(EVERY_WORKER_S * 1000)
        sign_in(page, ours.url, os.environ["UI_USERNAME"], os.environ["UI_PASSWORD"])
        page.goto(f"{ours.url}/ui/router-settings/")
        yield page


@pytest.mark.parametrize("group", [None, "auto"])
def test_arguments_saved_on_the_router_settings_page_reach_both_workers(
    ours: Proxy, page: Any, group: str | None
) -> None:
    field = page.locator(f'input[name="{FIELD}:{group}"]' if group else f'input[name="{FIELD}"]')
    assert json.loads(field.input_value()) == {"weights": "cost"}
    field.fill('{"weights": "quality"}')
    page.get_by_role("button", name="Save Changes").click()
    page.get_by_text("updated successfully").wait_for()
    both(ours, {"weights": "quality"}, group)
    assert models(ours) == ({"large"} if group else {"small"})


def test_a_mistake_on_the_router_settings_page_is_shown_there_and_not_saved(ours: Proxy, page: Any) -> None:
    page.locator(f'input[name="{FIELD}"]').fill('{"weights": "best"}')
    page.get_by_role("button", name="Save Changes").click()
    page.get_by_text("unknown preset 'best'").first.wait_for()
    both(ours, {"weights": "cost"})


def predictors(proxy: Proxy) -> set[str | None]:
    """By what each of 16 decisions to come would be predicted."""
    found = set()
    for _ in range(16):
        with proxy.client() as client:
            response = client.post("/routebalance/explain", json=chat("auto"))
        assert response.status_code == 200, response.text
        found.add(response.json()["predictor"])
    return found


@pytest.mark.parametrize(
    ("args", "of_group", "told"),
    [
        ({"wieghts": "cost"}, {"weights": "quality"}, "wieghts: unknown setting"),
        ({"weights": "quality"}, {"weights": "best"}, "unknown preset 'best'"),
        ({"weights": "quality"}, {"predictor": {"path": "/nowhere"}}, "/nowhere"),
        ({"weights": "quality"}, {"slo": {"theta": 2}}, "theta"),
    ],
)
def test_an_update_with_a_mistake_is_refused_whole_with_the_reason_and_the_old_one_stays(
    ours: Proxy, args: dict[str, Any], of_group: dict[str, Any], told: str
) -> None:
    response = update(ours, "routebalance", args, of_group)
    assert response.status_code == 400, response.text
    assert told in response.text
    time.sleep(WITHIN_S)
    assert models(ours) == {"small"}
    stored = get(ours, "/router/settings")["current_values"]
    assert stored["routing_strategy_args"] == {"weights": "cost"}
