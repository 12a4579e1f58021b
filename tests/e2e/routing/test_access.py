"""What keys and teams may call holds on a proxy that routes with RouteBalance, whatever looks best.

LiteLLM's custom authentication stands for its database: it hands out the same key and team records. The
better, dearer member of each group is the one that some keys may not call by its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.e2e.proxy import Proxy, chat, routed, running_proxy
from tests.litellm_contract.routers import deployment

pytestmark = pytest.mark.slow
QUALITY = {"weights": "quality"}

# Keys by name: what LiteLLM would read of them in its database.
AUTH = """
from litellm.proxy._types import UserAPIKeyAuth

KEYS = {
    "sk-everything": dict(models=[]),
    "sk-groups": dict(models=["open", "strict", "shuffled"]),
    "sk-groups-small": dict(models=["open", "strict", "strict-small"]),
    "sk-team": dict(
        models=["all-team-models"], team_id="team", team_models=["open", "strict", "strict-small"]
    ),
    "sk-team-key": dict(
        models=["open", "strict", "strict-small", "strict-large"],
        team_id="team",
        team_models=["open", "strict", "strict-small"],
    ),
    "sk-poor": dict(models=["open"], model_max_budget={"open": {"budget_limit": 1e-9, "time_period": "1d"}}),
}


async def authenticate(request, api_key):
    record = KEYS[api_key.removeprefix("Bearer ")]
    return UserAPIKeyAuth(api_key=api_key, token=api_key, **record)
"""


def member(group: str, quality: float) -> dict[str, Any]:
    return deployment(group, quality, group=group, output_cost_per_token=quality * 1e-5)


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("access")
    (folder / "keys.py").write_text(AUTH)
    config = {
        "model_list": [
            *(member(f"{kind}-large", 0.9) for kind in ("open", "strict", "shuffled")),
            *(member(f"{kind}-small", 0.3) for kind in ("open", "strict", "shuffled")),
        ],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "open",
                    "models": ["open-large", "open-small"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": QUALITY,
                },
                {
                    "group_name": "strict",
                    "models": ["strict-large", "strict-small"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {**QUALITY, "member_access": "key"},
                },
                {
                    "group_name": "shuffled",
                    "models": ["shuffled-large", "shuffled-small"],
                    "routing_strategy": "simple-shuffle",
                },
            ],
            "num_retries": 2,
        },
        "general_settings": {"custom_auth": "keys.authenticate", "custom_auth_run_common_checks": True},
        "litellm_settings": {"enable_post_custom_auth_checks": True},
    }
    with running_proxy(folder, config) as running:
        yield running


def ask(
    proxy: Proxy, key: str, model: str, path: str = "/v1/chat/completions", **fields: Any
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{proxy.url}{path}", headers=headers, json=chat(model, **fields), timeout=60.0)


def model_of(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return routed(response)["model"]


def test_a_group_that_a_key_may_call_covers_its_members(proxy: Proxy) -> None:
    assert model_of(ask(proxy, "sk-groups", "open")) == "open-large"


@pytest.mark.parametrize("model", ["open-large", "strict-large", "open-small"])
def test_a_member_that_a_key_may_not_call_stays_closed_by_its_own_name(proxy: Proxy, model: str) -> None:
    refused = ask(proxy, "sk-groups", model)
    assert refused.status_code in (401, 403)
    assert "key_model_access_denied" in refused.text


@pytest.mark.parametrize("key", ["sk-groups-small", "sk-team", "sk-team-key"])
@pytest.mark.parametrize("stream", [False, True])
def test_with_access_by_key_a_request_goes_only_where_key_and_team_may_go(
    proxy: Proxy, key: str, stream: bool
) -> None:
    assert {model_of(ask(proxy, key, "strict", stream=stream)) for _ in range(3)} == {"strict-small"}
    assert model_of(ask(proxy, key, "open", stream=stream)) == "open-large"


def test_with_access_by_key_whoever_may_call_all_gets_the_best(proxy: Proxy) -> None:
    assert model_of(ask(proxy, "sk-everything", "strict")) == "strict-large"


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_with_access_by_key_nothing_left_is_refused_as_litellm_refuses_a_member_but_names_none(
    proxy: Proxy, path: str
) -> None:
    direct = ask(proxy, "sk-groups", "strict-large", path, max_tokens=5)
    refused = ask(proxy, "sk-groups", "strict", path, max_tokens=5)
    assert direct.status_code in (401, 403)
    assert refused.status_code == direct.status_code, refused.text
    assert direct.json()["error"]["message"][:60].replace("strict-large", "strict") in refused.text
    assert "strict-large" not in refused.text
    assert routed(refused) == {}


def test_a_keys_budget_is_kept_to(proxy: Proxy) -> None:
    answers = [ask(proxy, "sk-poor", "open") for _ in range(8)]
    assert answers[0].status_code == 200
    assert 400 <= answers[-1].status_code < 500
    assert "budget" in answers[-1].text.lower()


def test_an_unknown_key_is_refused(proxy: Proxy) -> None:
    assert ask(proxy, "sk-unknown", "open").status_code >= 400


def test_other_strategies_are_as_before(proxy: Proxy) -> None:
    response = ask(proxy, "sk-groups", "shuffled")
    assert response.status_code == 200, response.text
    assert routed(response) == {}
