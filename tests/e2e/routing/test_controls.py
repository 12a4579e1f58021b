"""Every control through a real proxy: what a client sets, what an operator leaves open, what goes on."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy, Servers, chat, routed, running_proxy, running_servers

pytestmark = pytest.mark.slow
SMALL, LARGE = 0, 1
GROUPS = {
    "auto": {},
    "fixed": {"overrides": {"request": []}},
    "deaf": {"overrides": {"request": [], "refused": "ignore"}},
    "capped": {"overrides": {"caps": {"max_cost_usd": {"max": 0.001}}}},
    "priced": {"objective": "priced", "prices": {"usd_per_quality": 1.0, "usd_per_second": 0.0}},
    "paid": {"max_cost_usd": 0.0001},
    "strict": {"slo": {"quality_min": 0.99, "mode": "strict"}},
    "preferring": {"weights": "cost", "slo": {"quality_min": 0.8, "mode": "prefer", "penalty": 10.0}},
    "gated": {
        "overrides": {"request": ["priority"]},
        "admission": {
            "max_wait_s": 0.001,
            "by_priority": [{"priority": 0, "max_wait_s": 3600}, {"priority": 1, "max_wait_s": 0.001}],
        },
    },
}


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A server of one slot: one that is only said to have one is soon known to have more."""
    with running_servers(tmp_path_factory.mktemp("narrow"), count=1, slots=1) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(servers: Servers, narrow: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("controls")
    shutil.copy(Path(__file__).parents[1] / "keys.py", folder / "keys.py")

    def deployment(
        number: int, group: str, quality: float, usd: float, of: Servers = servers, **known: Any
    ) -> dict[str, Any]:
        entry = of.deployment(
            number, group, routebalance={"quality": quality, "tpot_ms": 1.2, "ttft_ms": 5.0, **known}
        )
        entry["litellm_params"] |= {"input_cost_per_token": usd, "output_cost_per_token": usd}
        entry["model_info"]["id"] = group
        return entry

    # Each routing group needs members of its own.
    models = [deployment(0, "small-gated", 0.3, 1e-7, of=narrow, max_num_seqs=1)]
    for name in GROUPS.keys() - {"gated"}:
        models.append(deployment(SMALL, f"small-{name}", 0.3, 1e-7))
        models.append(deployment(LARGE, f"large-{name}", 0.9, 1e-6))
    config = {
        "model_list": models,
        "router_settings": {
            "num_retries": 2,
            "routing_groups": [
                {
                    "group_name": name,
                    "models": [m["model_name"] for m in models if m["model_name"].endswith(f"-{name}")],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {"redis": {"enabled": False}, **args},
                }
                for name, args in GROUPS.items()
            ],
        },
        "general_settings": {
            "custom_auth": "keys.authenticate",
            "forward_client_headers_to_llm_api": True,
        },
    }
    with running_proxy(folder, config) as running:
        yield running


def key(**told: Any) -> dict[str, str]:
    """The header of a key with this metadata (`key`) and that of its team (`team`)."""
    text = base64.urlsafe_b64encode(json.dumps(told).encode()).decode()
    return {"Authorization": f"Bearer sk-{text}"}


def ask(proxy: Proxy, group: str, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = chat(group, **{"max_tokens": 5, **fields})
    with proxy.client() as client:
        return client.post("/v1/chat/completions", json=body, headers=headers)


def model(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return routed(response)["model"].split("-")[0]


def said(response: httpx.Response) -> str:
    return str(response.json()["error"]["message"])


LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
CHEAP, GOOD = {"x-routebalance-weights": "cost"}, {"x-routebalance-weights": "quality"}


def test_weights_by_header(proxy: Proxy) -> None:
    assert model(ask(proxy, "auto", CHEAP)) == "small"
    assert model(ask(proxy, "auto", GOOD)) == "large"
    assert model(ask(proxy, "auto", {"x-routebalance-weights": "0,0,1"})) == "small"


PLACES = [
    lambda c: {"routebalance": c},
    lambda c: {"metadata": {"routebalance": c}},
    lambda c: {"extra_body": {"routebalance": c}},
]


@pytest.mark.parametrize("place", PLACES)
def test_weights_by_body(proxy: Proxy, place: Any) -> None:
    assert model(ask(proxy, "auto", **place({"weights": {"quality": 0, "latency": 0, "cost": 1}}))) == "small"
    assert model(ask(proxy, "auto", **place({"weights": "quality"}))) == "large"


def test_weights_by_key_and_team_the_more_specific_first(proxy: Proxy) -> None:
    team = key(team={"routebalance": {"weights": "cost"}})
    assert model(ask(proxy, "auto", team)) == "small"
    both = key(team={"routebalance": {"weights": "cost"}}, key={"routebalance": {"weights": "quality"}})
    assert model(ask(proxy, "auto", both)) == "large"
    assert model(ask(proxy, "auto", {**both, **CHEAP})) == "small"


def test_nothing_of_it_goes_upstream(proxy: Proxy, servers: Servers) -> None:
    body = {"routebalance": {"ttft_ms": 5000}, "metadata": {"routebalance": {"theta": 0.5}, "mine": "kept"}}
    response = ask(proxy, "auto", {**GOOD, "x-other": "forwarded"}, **body)
    assert model(response) == "large"
    arrived = servers.last(LARGE)
    assert "routebalance" not in json.dumps(arrived).lower()
    assert {k.lower(): v for k, v in arrived["headers"].items()}["x-other"] == "forwarded"


@pytest.mark.parametrize(
    ("headers", "body", "named"),
    [
        ({"x-routebalance-weights": "best"}, {}, "weights: unknown preset 'best'"),
        ({"x-routebalance-ttft-ms": "soon"}, {}, "x-routebalance-ttft-ms: "),
        ({"x-routebalance-speed": "1"}, {}, "speed: unknown setting"),
        ({}, {"routebalance": {"theta": 2}}, "theta"),
        ({}, {"routebalance": "quality"}, "routebalance"),
        ({}, {"metadata": {"routebalance": {"max_cost_usd": -1}}}, "metadata.routebalance.max_cost_usd"),
    ],
)
def test_a_wrong_value_is_a_400_that_names_it(
    proxy: Proxy, headers: dict[str, str], body: dict[str, Any], named: str
) -> None:
    response = ask(proxy, "auto", headers, **body)
    assert response.status_code == 400
    assert named in said(response)


def test_what_a_request_may_not_set_is_refused_or_ignored(proxy: Proxy) -> None:
    refused = ask(proxy, "fixed", CHEAP)
    assert refused.status_code == 403
    assert "weights: a request may not set it" in said(refused)
    plain = model(ask(proxy, "deaf"))
    assert model(ask(proxy, "deaf", CHEAP)) == plain
    assert model(ask(proxy, "deaf", GOOD)) == plain


def test_caps_hold(proxy: Proxy) -> None:
    assert ask(proxy, "capped", {"x-routebalance-max-cost-usd": "0.002"}).status_code == 403
    assert ask(proxy, "capped", {"x-routebalance-max-cost-usd": "0.0009"}).status_code == 200


def test_what_a_key_fixes_no_header_changes(proxy: Proxy) -> None:
    fixed = key(key={"routebalance": {"weights": "cost", "fixed": ["weights"]}})
    assert model(ask(proxy, "auto", fixed)) == "small"
    response = ask(proxy, "auto", {**fixed, **GOOD})
    assert response.status_code == 403
    assert "weights: fixed by the key" in said(response)


def test_a_quality_that_nobody_has(proxy: Proxy) -> None:
    response = ask(proxy, "strict")
    assert response.status_code == 503
    assert "quality_min 0.9" in said(response)
    assert model(ask(proxy, "strict", {"x-routebalance-slo-mode": "tiered"})) == "large"
    assert model(ask(proxy, "strict", {"x-routebalance-quality-min": "0.5"})) == "large"
    assert model(ask(proxy, "strict", {"x-routebalance-quality-min": "0.2", **CHEAP})) == "small"


def test_a_preference_is_priced_against_the_rest(proxy: Proxy) -> None:
    assert model(ask(proxy, "preferring")) == "large"
    assert model(ask(proxy, "preferring", {"x-routebalance-quality-min": "0.1"})) == "small"


@pytest.mark.parametrize("name", ["ttft", "tpot", "e2e"])
def test_a_latency_that_nobody_keeps(proxy: Proxy, name: str) -> None:
    limit = {f"x-routebalance-{name}-ms": "0.001"}
    response = ask(proxy, "auto", {**limit, "x-routebalance-slo-mode": "strict"})
    assert response.status_code in (429, 503)
    assert f"{name}_ms" in said(response)
    assert ask(proxy, "auto", limit).status_code == 200


def test_a_priced_objective(proxy: Proxy) -> None:
    assert model(ask(proxy, "priced")) == "large"
    assert model(ask(proxy, "priced", {"x-routebalance-usd-per-quality": "0"})) == "small"
    dear = {"x-routebalance-objective": "priced", "x-routebalance-usd-per-quality": "9"}
    assert model(ask(proxy, "auto", dear)) == "large"


def test_a_budget_clamps_the_answer_to_what_it_pays_for(proxy: Proxy, servers: Servers) -> None:
    response = ask(proxy, "paid", GOOD, max_tokens=4000)
    number = LARGE if model(response) == "large" else SMALL
    price = 1e-6 if number == LARGE else 1e-7
    usage, arrived = response.json()["usage"], servers.last(number)["body"]["max_tokens"]
    assert 0 < arrived < 4000
    assert usage["prompt_tokens"] * price + usage["completion_tokens"] * price <= 0.0001
    assert usage["prompt_tokens"] * price + arrived * price <= 0.0001
    told = routed(response)
    assert told["budget-usd"] == "0.0001"
    assert int(told["max-tokens"]) == arrived
    assert 0 < float(told["spent-usd"]) <= 0.0001


def test_a_budget_never_raises_the_clients_limit(proxy: Proxy, servers: Servers) -> None:
    response = ask(proxy, "auto", {"x-routebalance-max-cost-usd": "1"}, max_tokens=7)
    number = LARGE if model(response) == "large" else SMALL
    assert servers.last(number)["body"]["max_tokens"] == 7
    assert "max-tokens" not in routed(response)


def test_a_budget_holds_for_a_stream_and_for_the_other_endpoints(proxy: Proxy, servers: Servers) -> None:
    budget = {"x-routebalance-max-cost-usd": "0.00001", "x-routebalance-weights": "cost"}
    with proxy.client() as client:
        for path, body in (
            ("/v1/chat/completions", chat("auto", stream=True)),
            ("/v1/completions", {"model": "auto", "prompt": "What is a balance?"}),
            ("/v1/responses", {"model": "auto", "input": "What is a balance?"}),
            ("/v1/messages", {"max_tokens": 4000, **chat("auto")}),
        ):
            response = client.post(path, json=body, headers=budget)
            assert response.status_code == 200, f"{path}: {response.text}"
            assert routed(response)["model"] == "small-auto"
            arrived = servers.last(SMALL)["body"]
            limit = next((arrived[name] for name in LIMITS if name in arrived), None)
            assert limit is not None, f"{path}: {arrived}"
            assert 0 < limit <= 100


def test_a_budget_that_pays_for_nothing_is_refused(proxy: Proxy) -> None:
    response = ask(proxy, "auto", {"x-routebalance-max-cost-usd": "0.0000000001"})
    assert response.status_code == 400
    assert "max_cost_usd" in said(response)


def test_thinking_is_left_valid_or_the_request_is_refused(proxy: Proxy) -> None:
    budget = {"x-routebalance-max-cost-usd": "0.0001"}
    response = ask(proxy, "auto", budget, reasoning_effort="high", max_tokens=9000)
    assert response.status_code == 400
    assert "max_cost_usd" in said(response)


async def test_overload_is_shed_by_priority(proxy: Proxy, narrow: Servers) -> None:
    narrow.fault(0, slowdown=20.0)
    try:
        async with proxy.async_client() as client:

            async def send(**fields: Any) -> httpx.Response:
                return await client.post("/v1/chat/completions", json=chat("gated", max_tokens=60, **fields))

            busy = [asyncio.create_task(send(priority=0)) for _ in range(4)]
            for _ in range(100):  # until the four are known to be there
                asked = await client.post("/routebalance/explain", json=chat("gated", max_tokens=60))
                if asked.json().get("refused"):
                    break
                await asyncio.sleep(0.1)
            shed, important = await send(), asyncio.create_task(send(priority=0))
            assert shed.status_code == 429, shed.text
            assert int(shed.headers["retry-after"]) >= 1
            assert "wait_ms" in said(shed)
            narrow.fault(0)
            assert (await important).status_code == 200
            assert {(await one).status_code for one in busy} == {200}
    finally:
        narrow.fault(0)
