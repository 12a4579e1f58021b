"""What the operator bounds stays bounded, whatever a key, a body or a header says."""

from __future__ import annotations

import pytest

from tests.e2e.proxy import Proxy, chat
from tests.security.conftest import ask, key, send

pytestmark = pytest.mark.slow
HUGE = "9" * 400
HOSTILE = [
    HUGE,
    "-" + HUGE,
    "1e999",
    '"' + HUGE + '"',
    "[]",
    "{}",
    'null, "theta": 7',
    "[" * 900 + "]" * 900,
    '"' + "x" * 100_000 + '"',
    "true",
    '"nan"',
]
NAMES = [
    "weights",
    "max_cost_usd",
    "ttft_ms",
    "quality_min",
    "theta",
    "priority",
    "objective",
    "usd_per_second",
]


def explained(proxy: Proxy, key: str, model: str, **fields: object) -> dict[str, object]:
    answer = send(proxy, key, "/routebalance/explain", chat(model, **fields))
    assert answer.status_code == 200, answer.text
    told: dict[str, object] = answer.json()
    return told


@pytest.mark.parametrize("value", range(len(HOSTILE)))
@pytest.mark.parametrize("name", NAMES)
def test_a_hostile_value_is_a_400_and_not_a_request_without_controls(
    proxy: Proxy, name: str, value: int
) -> None:
    asked = f'{{"model": "capped", "messages": [], "routebalance": {{"{name}": {HOSTILE[value]}}}}}'
    for path in ("/v1/chat/completions", "/routebalance/explain"):
        answer = send(proxy, key("capped", user_id=f"{name}-{value}"), path, asked)
        assert answer.status_code == 400, answer.text
        assert len(answer.text) < 3000


@pytest.mark.parametrize(
    "body", ["[]", "null", "7", '"text"', "", "{", "[" * 5000, '{"model": []}', '{"model": null}']
)
@pytest.mark.parametrize("path", ["/routebalance/explain", "/routebalance/feedback"])
def test_a_body_that_is_no_request_is_a_400(proxy: Proxy, path: str, body: str) -> None:
    answer = send(proxy, proxy.key, path, body)
    assert answer.status_code in (400, 413, 422), answer.text


def test_a_keys_own_metadata_does_not_raise_what_the_operator_bounds(proxy: Proxy) -> None:
    for level in ({"of_key": {"max_cost_usd": 1000.0}}, {"of_team": {"max_cost_usd": 1000.0}}):
        told = explained(proxy, key("capped", **level), "capped")
        assert told["budget"]["max_cost_usd"] == 0.05
        assert ask(proxy, key("capped", **level), "capped").status_code == 200


def test_what_a_team_bounds_no_key_and_no_request_raises(proxy: Proxy) -> None:
    team = {"max_cost_usd": 0.01, "caps": {"max_cost_usd": {"max": 0.02}}}
    told = explained(proxy, key("capped", of_team=team, of_key={"max_cost_usd": 0.04}), "capped")
    assert told["budget"]["max_cost_usd"] == 0.02
    refused = ask(proxy, key("capped", of_team=team), "capped", routebalance={"max_cost_usd": 0.04})
    assert refused.status_code == 403


@pytest.mark.parametrize("how", [{"priority": 0}, {"routebalance": {"priority": 0}}])
def test_nobody_makes_itself_more_important(proxy: Proxy, how: dict[str, object]) -> None:
    of_key = key("capped", of_key={"priority": 5})
    assert ask(proxy, of_key, "capped").status_code == 200
    refused = ask(proxy, of_key, "capped", **how)
    assert refused.status_code == 403
    assert "priority" in refused.text
    by_header = ask(proxy, of_key, "capped", headers={"x-routebalance-priority": "0"})
    assert by_header.status_code == 403
    assert ask(proxy, of_key, "capped", routebalance={"priority": 9}).status_code == 200
