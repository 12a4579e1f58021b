"""Over random keys, teams, roles, groups, bodies and headers, through a real proxy and all of its layers.

Whatever is sent: no answer comes from a deployment that the key may not use, nothing is decided by controls
weaker than the operator's, nothing but a refusal reaches who may not see, and no request ends in a 500. So
it is with what is off by default off, and on.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.e2e.proxy import Proxy, chat
from tests.security.conftest import EFFORTS, EVERYTHING, key, send, shared_proxy

pytestmark = pytest.mark.slow
REAL = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
CAP_USD = 0.05
NUMBER = itertools.count()

MEMBERS = {group: (f"{group}-large", f"{group}-small") for group in ("strict", "lenient", "capped", "chat")}
STRATEGIES = st.sampled_from(
    ["routebalance", "simple-shuffle", "least-busy", "latency-based-routing", "cost-based-routing",
     "usage-based-routing-v2", "adaptive", "", None, 7, ["simple-shuffle"], {"a": 1}]
)  # fmt: skip
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10**6), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "nan", "1e999", "0", "quality", "cost", "9" * 400, "[1]", "\x00", 10**400, [], {}]),
)  # fmt: skip
CONTROLS = st.dictionaries(
    st.sampled_from(
        ["weights", "objective", "usd_per_quality", "ttft_ms", "e2e_ms", "quality_min", "theta", "slo_mode",
         "max_cost_usd", "priority", "fixed", "caps", "member_access", "mode"]
    ),
    ODD,
    max_size=3,
)  # fmt: skip
PRETENDED = st.sampled_from(
    [
        {"models": [], "user_role": "proxy_admin"},
        "proxy_admin",
        {"team_id": "one", "metadata": {"routebalance": {"max_cost_usd": 1e6}}},
    ]
)
METADATA = st.fixed_dictionaries(
    {},
    optional={
        "user_api_key_auth": PRETENDED,
        "user_api_key_metadata": st.just({"routebalance": {"max_cost_usd": 1e6}}),
        "routebalance": CONTROLS,
        "session_id": st.sampled_from(["s", "their-session"]),
        "model_info": st.just({"id": "strict-large"}),
        "tags": st.just(["large"]),
    },
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "routing_strategy": STRATEGIES,
        "routing_strategy_args": st.just({"member_access": "group"}),
        "router_settings_override": st.builds(lambda s: {"routing_strategy": s}, STRATEGIES),
        "routebalance": st.one_of(CONTROLS, ODD),
        "extra_body": st.builds(
            lambda s, c: {"routing_strategy": s, "routebalance": c}, STRATEGIES, CONTROLS
        ),
        "priority": st.one_of(st.integers(-5, 10), ODD),
        "metadata": METADATA,
        "litellm_metadata": METADATA,
        "_router_weights": st.sampled_from(
            [{"strict": {"strict-large": 1}}, {"strict-large": {"strict-large": 10**400}}, [], 7]
        ),
        "specific_deployment": st.just(True),
        "model_id": st.just("strict-large"),
        "mock_testing_fallbacks": st.booleans(),
        "num_retries": st.integers(0, 2),
        "max_tokens": st.sampled_from([1, 5, 100_000, -1, "5"]),
        "stream": st.booleans(),
        "user": st.sampled_from(["", "other", "x" * 300]),
    },
)
HEADERS = st.dictionaries(
    st.sampled_from(
        ["x-routebalance-max-cost-usd", "x-routebalance-weights", "x-routebalance-priority", "x-litellm-tags",
         "x-routebalance-member-access", "x-routebalance-mode", "x-litellm-call-id", "x-litellm-num-retries"]
    ),
    st.sampled_from(["1e9", "0.01", "quality", "0", "-1", "9" * 400, "active", "group", "one-id", "large"]),
    max_size=3,
)  # fmt: skip
PATHS = st.sampled_from(["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"])
LEVELS = st.fixed_dictionaries(
    {},
    optional={
        "max_cost_usd": st.floats(1e-3, 1e5),
        "priority": st.integers(0, 9),
        "weights": st.just("cost"),
    },
)


@st.composite
def callers(draw: st.DrawFn) -> tuple[str, frozenset[str]]:
    """A key, and the groups and members that it may call: not empty."""
    names = [*MEMBERS, *(member for both in MEMBERS.values() for member in both)]
    mine = frozenset(draw(st.sets(st.sampled_from(names), min_size=1, max_size=5)))
    record = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "team_id": st.sampled_from(["one", "two"]),
                "user_role": st.sampled_from(["internal_user", "internal_user_viewer", "customer", "team"]),
                "router_settings": st.builds(
                    lambda name: {"routing_strategy": name},
                    st.sampled_from(["routebalance", "simple-shuffle", "least-busy"]),
                ),
            },
        )
    )
    # Each example is a key of its own: what one asks for is not held against the next.
    record["user_id"] = f"random-{next(NUMBER)}"
    return key(*mine, of_key=draw(LEVELS), of_team=draw(LEVELS), **record), mine


@pytest.fixture(scope="module")
def all_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with shared_proxy(tmp_path_factory.mktemp("all-on"), EVERYTHING, EFFORTS) as running:
        yield running


@pytest.fixture(scope="module", params=["proxy", "all_on"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    proxy: Proxy = request.getfixturevalue(request.param)
    with httpx.Client(base_url=proxy.url, timeout=60.0) as one:
        yield one


def test_everything_is_on(all_on: Proxy) -> None:
    answer = send(all_on, key(user_id="on"), "/v1/chat/completions", chat("lenient"))
    assert answer.status_code == 200, answer.text
    assert {"x-routebalance-targets", "x-routebalance-effort"} <= set(answer.headers), answer.headers


def may_reach(mine: frozenset[str]) -> set[str]:
    """The members that requests of this key may be answered by."""
    reached: set[str] = set()
    for group, members in MEMBERS.items():
        if group in mine:
            # All but one of the groups share their members with whoever may call the group.
            reached |= {m for m in members if group != "strict" or m in mine}
        reached |= {m for m in members if m in mine}
    return reached


def sent(client: httpx.Client, secret: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
    own = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", **headers}
    # Python's own writer, which writes a number of 400 digits as it is.
    return client.post(path, headers=own, content=json.dumps(body))


@REAL
@given(caller=callers(), path=PATHS, body=BODIES, headers=HEADERS, data=st.data())
def test_no_request_reaches_a_deployment_that_its_key_may_not_use(
    client: httpx.Client,
    caller: tuple[str, frozenset[str]],
    path: str,
    body: dict[str, Any],
    headers: dict[str, str],
    data: st.DataObject,
) -> None:
    """Of what the key may call, which a `custom_auth` checks itself; fallbacks among them."""
    secret, mine = caller
    names = st.sampled_from(sorted(mine))
    group, further = data.draw(names), data.draw(st.lists(names, max_size=2))
    asked = {
        **chat(group),
        "input": "Hello",
        "prompt": "Hello",
        "max_tokens": 5,
        "fallbacks": further,
        **body,
    }
    answer = sent(client, secret, path, asked, headers)
    for header in ("x-litellm-model-id", "x-routebalance-deployment", "x-routebalance-model"):
        reached = answer.headers.get(header)
        assert reached is None or reached in may_reach(mine), (answer.headers, asked)


@REAL
@given(of_key=LEVELS, of_team=LEVELS, body=BODIES, headers=HEADERS)
def test_no_control_is_weaker_than_the_operators(
    client: httpx.Client,
    of_key: dict[str, Any],
    of_team: dict[str, Any],
    body: dict[str, Any],
    headers: dict[str, str],
) -> None:
    secret = key("capped", of_key=of_key, of_team=of_team, user_id=f"control-{next(NUMBER)}")
    asked = {**chat("capped"), **body}
    told = sent(client, secret, "/routebalance/explain", asked, headers)
    assert told.status_code in (200, 400, 403, 422), told.text
    if told.status_code == 200:
        assert told.json()["budget"]["max_cost_usd"] <= CAP_USD
    answer = sent(client, secret, "/v1/chat/completions", asked, headers)
    budget = answer.headers.get("x-routebalance-budget-usd")
    if answer.headers.get("x-routebalance-reason") is not None:
        assert budget is not None, (answer.headers, asked)
        assert float(budget) <= CAP_USD


@REAL
@given(
    caller=callers(),
    path=st.sampled_from(
        ["", "status", "events", "whatif", "shadow", "metrics", "feedback", "status/", "Status"]
    ),
    headers=HEADERS,
    query=st.sampled_from(["", "?decisions=500", "?quality=1&latency=0&cost=0", "?key=x"]),
)
def test_no_answer_to_a_non_admin_is_about_others(
    client: httpx.Client, caller: tuple[str, frozenset[str]], path: str, headers: dict[str, str], query: str
) -> None:
    secret, _ = caller
    own = {"Authorization": f"Bearer {secret}", **headers}
    answer = client.get(f"/routebalance/{path}{query}", headers=own, follow_redirects=False)
    assert answer.status_code in (307, 401, 403, 404), answer.text
    assert "-large" not in answer.text


@REAL
@given(
    caller=callers(),
    group=st.sampled_from([*MEMBERS, "strict-large", "no such model", "", 7, None]),
    body=BODIES,
    headers=HEADERS,
)
def test_an_explanation_tells_of_no_deployment_that_the_key_may_not_use(
    client: httpx.Client,
    caller: tuple[str, frozenset[str]],
    group: Any,
    body: dict[str, Any],
    headers: dict[str, str],
) -> None:
    secret, mine = caller
    asked = {**chat(group), **body}
    answer = sent(client, secret, "/routebalance/explain", asked, headers)
    assert answer.status_code != 500, (answer.text, asked)
    if answer.status_code == 200:
        told = {one["deployment"] for one in answer.json()["candidates"]}
        assert told <= may_reach(mine), (told, asked)
