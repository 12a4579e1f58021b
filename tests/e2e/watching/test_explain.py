"""Explanations through a real proxy: true to what is then decided, without a trace, for those who may ask."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rb_litellm.bench.real.testbed import BIN
from rb_litellm.demo.stage import clean_environment
from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy
from tests.e2e.routing.test_controls import key

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def proxy(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("explain")
    shutil.copy(Path(__file__).parents[1] / "keys.py", folder / "keys.py")

    def deployment(number: int, group: str, quality: float, usd: float) -> dict[str, Any]:
        entry = servers.deployment(number, group, routebalance={"quality": quality})
        entry["litellm_params"] |= {"input_cost_per_token": usd, "output_cost_per_token": usd}
        return entry

    config = {
        "model_list": [
            deployment(0, "small", 0.3, 1e-7),
            deployment(1, "large", 0.9, 1e-6),
            deployment(2, "other", 0.5, 1e-7),
        ],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small", "large"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "redis": {"enabled": False},
                        "member_access": "key",
                        "predictor": "none",
                    },
                }
            ]
        },
        "general_settings": {
            "custom_auth": "keys.authenticate",
            "custom_auth_run_common_checks": True,
        },
        "litellm_settings": {"enable_post_custom_auth_checks": True},
    }
    with running_proxy(folder, config) as running:
        yield running


def explain(proxy: Proxy, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    with proxy.client() as client:
        return client.post("/routebalance/explain", json=body, headers=headers)


def test_it_says_what_is_then_decided(proxy: Proxy) -> None:
    for weights in ("quality", "cost"):
        headers = {"x-routebalance-weights": weights}
        told = explain(proxy, chat("auto"), headers)
        assert told.status_code == 200, told.text
        answer = told.json()
        with proxy.client() as client:
            done = routed(
                client.post("/v1/chat/completions", json=chat("auto", max_tokens=3), headers=headers)
            )
        assert answer["chosen"] == done["deployment"]
        assert answer["set_by"] == {"weights": "request"}


def test_it_tells_every_candidate_its_terms_and_what_would_flip_the_choice(proxy: Proxy) -> None:
    answer = explain(proxy, chat("auto", routebalance={"weights": "quality"})).json()
    first, second = answer["candidates"]
    assert first["score"] >= second["score"]
    assert sum(first["terms"].values()) == pytest.approx(first["score"], abs=1e-5)
    assert {"quality", "output_tokens", "wait_s", "ttft_s", "tpot_s", "e2e_s", "cost_usd"} <= set(first)
    assert {flip["deployment"] for flip in answer["flips"]} == {second["deployment"]}


def test_it_tells_the_filter_that_removed_one(proxy: Proxy) -> None:
    answer = explain(proxy, chat("auto", routebalance={"quality_min": 0.5})).json()
    by_id = {candidate["deployment"]: candidate for candidate in answer["candidates"]}
    assert by_id["small-0"]["score"] is None
    assert by_id["small-0"]["filters"] == {"quality": {"passed": False, "limit": 0.5, "level": 0.3}}


def test_it_tells_of_a_refusal_and_of_a_budget(proxy: Proxy) -> None:
    strict = {"quality_min": 0.99, "slo_mode": "strict"}
    answer = explain(proxy, chat("auto", routebalance=strict)).json()
    assert answer["chosen"] is None
    assert answer["refused"]["needed"] == {"quality": pytest.approx(0.9)}
    paid = explain(proxy, chat("auto", routebalance={"max_cost_usd": 0.0001})).json()
    assert paid["budget"]["max_tokens"] > 0


def test_nothing_is_sent_and_nothing_is_counted(proxy: Proxy, servers: Servers) -> None:
    before = [servers.served(n)["requests"] for n in range(3)]
    for _ in range(5):
        assert explain(proxy, chat("auto")).json()["candidates"][0]["wait_s"] == 0.0
    assert [servers.served(n)["requests"] for n in range(3)] == before


@pytest.mark.parametrize("body", [{}, {"model": 3}, {"messages": []}])
def test_a_body_that_is_no_request_is_a_400(proxy: Proxy, body: Any) -> None:
    assert explain(proxy, body).status_code == 400


def test_wrong_controls_and_other_strategies_are_a_400(proxy: Proxy) -> None:
    wrong = explain(proxy, chat("auto", routebalance={"weights": "best"}))
    assert wrong.status_code == 400
    assert "unknown preset 'best'" in wrong.text
    other = explain(proxy, chat("other"))
    assert other.status_code == 400
    assert "not routed by RouteBalance" in other.text


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer sk-wrong"}], ids=["none", "wrong"])
def test_without_a_key_nothing_is_explained(proxy: Proxy, headers: dict[str, str]) -> None:
    assert answer(proxy, "auto", headers) == sent(proxy, "auto", headers)
    assert answer(proxy, "auto", headers)[0] >= 400


def test_a_key_sees_what_it_may_call(proxy: Proxy) -> None:
    all_of_it, part = key(models=["auto", "small", "large"]), key(models=["auto", "small"])
    assert answer(proxy, "auto", all_of_it) == (200, {"small-0", "large-1"})
    assert answer(proxy, "auto", part) == (200, {"small-0"})
    assert answer(proxy, "small", part) == (200, {"small-0"})


@pytest.mark.parametrize("model", ["large", "auto"])
def test_a_key_is_refused_what_it_may_not_call_as_its_request_would_be(proxy: Proxy, model: str) -> None:
    other = key(models=["small"])
    assert answer(proxy, model, other) == sent(proxy, model, other)
    assert answer(proxy, model, other)[0] in (401, 403)


def test_a_keys_own_controls_and_limits_hold(proxy: Proxy) -> None:
    thrifty = key(models=["auto", "small", "large"], key={"routebalance": {"weights": "cost"}})
    told = httpx.post(f"{proxy.url}/routebalance/explain", json=chat("auto"), headers=thrifty).json()
    assert told["set_by"] == {"weights": "key"}
    assert told["chosen"] == "small-0"


def test_to_explain_opens_none_of_the_admins_pages(proxy: Proxy) -> None:
    with httpx.Client(base_url=proxy.url, headers=key(models=["auto", "small"])) as client:
        for path in ("status", "whatif?quality=1&latency=0&cost=0", "events"):
            assert client.get(f"/routebalance/{path}").status_code >= 400
        assert client.post("/routebalance/feedback", json={"call_id": "c", "score": 1}).status_code >= 400


def answer(proxy: Proxy, model: str, headers: dict[str, str]) -> tuple[int, set[str]]:
    """Status of an explanation, and the deployments that it names."""
    response = httpx.post(f"{proxy.url}/routebalance/explain", json=chat(model), headers=headers)
    told = response.json().get("candidates", ()) if response.status_code == 200 else ()
    return response.status_code, {candidate["deployment"] for candidate in told}


def sent(proxy: Proxy, model: str, headers: dict[str, str]) -> tuple[int, set[str]]:
    """Status of the request itself, where it is refused."""
    body = chat(model, max_tokens=3)
    response = httpx.post(f"{proxy.url}/v1/chat/completions", json=body, headers=headers)
    return response.status_code, set()


def command(proxy: Proxy, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [str(BIN / "routebalance"), "explain", "--url", proxy.url, "--key", proxy.key, *arguments]
    return subprocess.run(line, capture_output=True, text=True, env=dict(clean_environment()), timeout=60)


def test_the_command_prints_a_table_or_the_answer(proxy: Proxy, tmp_path: Path) -> None:
    asked = ("--model", "auto", "--prompt", "What is a balance?")
    table = command(proxy, *asked, "--control", "weights=quality")
    assert table.returncode == 0, table.stderr
    assert "large-1" in table.stdout
    assert "weights by the request" in table.stdout
    body = tmp_path / "body.json"
    body.write_text(json.dumps(chat("auto")))
    assert json.loads(command(proxy, "--file", str(body), "--json").stdout)["candidates"]
    wrong = command(proxy, *asked, "--control", "theta=2")
    assert wrong.returncode != 0
    assert "theta" in wrong.stderr
