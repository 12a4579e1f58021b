"""A request's own `routing_strategy` does not take it out of what the operator has set."""

from __future__ import annotations

import pytest

from rb_litellm.litellm_adapter.request.rights.controls import BadControls, take_in
from tests.e2e.proxy import Proxy, routed
from tests.security.conftest import ask, key

pytestmark = pytest.mark.slow
SMALL_ONLY = key("strict", "strict-small")
FOREIGN = ["simple-shuffle", "least-busy", "latency-based-routing", "cost-based-routing"]
WAYS = {
    "field": lambda name: {"routing_strategy": name},
    "extra_body": lambda name: {"extra_body": {"routing_strategy": name}},
    "settings": lambda name: {"router_settings_override": {"routing_strategy": name}},
}


def models(proxy: Proxy, key: str, model: str, times: int = 8, **fields: object) -> set[str]:
    """The models that these requests were answered by, none of them where all were refused."""
    answers = [ask(proxy, key, model, **fields) for _ in range(times)]
    return {a.headers["x-litellm-model-id"] for a in answers if a.status_code == 200}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["routebalance", *FOREIGN])
def test_member_access_holds_whatever_strategy_a_body_names(proxy: Proxy, way: str, name: str) -> None:
    assert models(proxy, SMALL_ONLY, "strict", **WAYS[way](name)) <= {"strict-small"}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_bodys_strategy_is_refused_where_the_operator_refuses(proxy: Proxy, name: str) -> None:
    refused = ask(proxy, key("strict"), "strict", routing_strategy=name)
    assert refused.status_code == 403
    assert "routing_strategy" in refused.text


@pytest.mark.parametrize("name", ["routebalance", *FOREIGN])
def test_a_bodys_strategy_is_ignored_where_the_operator_ignores(proxy: Proxy, name: str) -> None:
    assert models(proxy, key("lenient"), "lenient", routing_strategy=name) == {"lenient-large"}
    answer = ask(proxy, key("lenient"), "lenient", routing_strategy=name)
    assert routed(answer)["model"] == "lenient-large"


def test_a_fallback_that_a_body_asks_for_does_not_carry_its_strategy_along(proxy: Proxy) -> None:
    fields = {"fallbacks": ["strict"], "routing_strategy": "simple-shuffle"}
    reached = models(proxy, key("broken", "strict", "strict-small"), "broken", **fields)
    assert reached == {"strict-small"}


@pytest.mark.parametrize("budget", ["routebalance"])
def test_a_cap_holds_whatever_strategy_a_body_names(proxy: Proxy, budget: str) -> None:
    refused = ask(
        proxy, key("capped"), "capped", routing_strategy=budget, routebalance={"max_cost_usd": 1000.0}
    )
    assert refused.status_code == 403
    assert "max_cost_usd" in refused.text


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/v1/completions"])
def test_the_same_holds_on_other_endpoints(proxy: Proxy, path: str) -> None:
    fields = {"input": "Hello", "prompt": "Hello", "max_tokens": 5, "routing_strategy": "simple-shuffle"}
    answers = [ask(proxy, SMALL_ONLY, "strict", path, **fields) for _ in range(4)]
    assert {a.status_code for a in answers} == {403}
    fields["routing_strategy"] = "routebalance"
    answers = [ask(proxy, SMALL_ONLY, "strict", path, **fields) for _ in range(4)]
    assert {a.headers.get("x-litellm-model-id", "strict-small") for a in answers} == {"strict-small"}


def test_a_keys_own_strategy_is_honoured(proxy: Proxy) -> None:
    own = key("lenient", router_settings={"routing_strategy": "simple-shuffle"})
    assert models(proxy, own, "lenient", times=24) == {"lenient-large", "lenient-small"}


def test_a_key_with_our_strategy_keeps_the_settings_of_the_group(proxy: Proxy) -> None:
    own = key("lenient", router_settings={"routing_strategy": "routebalance"})
    assert models(proxy, own, "lenient") == {"lenient-large"}


def test_a_keys_own_strategy_leads_to_no_member_that_it_may_not_call(proxy: Proxy) -> None:
    own = key("strict", "strict-small", router_settings={"routing_strategy": "simple-shuffle"})
    assert models(proxy, own, "strict", times=12) == {"strict-small"}


def test_a_router_that_a_body_brings_along_may_not_be_ours() -> None:
    data = {"user_config": {"model_list": [], "routing_groups": [{"routing_strategy": "routebalance"}]}}
    with pytest.raises(BadControls) as refused:
        take_in(data, None, lambda: None)
    assert refused.value.status == 403
