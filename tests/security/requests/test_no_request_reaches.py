"""Over random tenants and requests: nothing reached that a key may not use, nothing learned of others.

Real Routers in this process, with LiteLLM's own record of a key; bodies as they stand after the proxy's hook.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rb_litellm.config import SettingsError, parse_settings
from rb_litellm.controls import Planner
from rb_litellm.core.servers.prefix_memory import block_names
from rb_litellm.litellm_adapter.hosts.host import current
from rb_litellm.litellm_adapter.proxy.endpoints.explain_limit import coarse
from rb_litellm.litellm_adapter.request.body.prompt import read_prompt
from rb_litellm.litellm_adapter.request.explanation import inquiry
from rb_litellm.litellm_adapter.request.rights.controls import BadControls, given_to, take_in
from rb_litellm.litellm_adapter.request.rights.key_weights import of_key
from tests.litellm_contract.conftest import accounting, settled, shared  # noqa: F401
from tests.litellm_contract.routers import answered_by, deployment, router

GROUPS = ("small", "medium", "large")
STRATEGIES = [
    "routebalance",
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "cost-based-routing",
    "x",
    7,
]
CAP = 0.05
QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
NUMBERS = st.one_of(st.floats(), st.integers(), st.sampled_from([10**400, "1e999", "nan", "", None, True]))
CONTROLS = st.dictionaries(
    st.sampled_from(["weights", "max_cost_usd", "quality_min", "ttft_ms", "priority", "slo_mode", "x"]),
    st.one_of(NUMBERS, st.sampled_from(["quality", "cost", "tiered", "prefer"])),
    max_size=3,
)
LEVELS = st.fixed_dictionaries(
    {}, optional={"max_cost_usd": st.floats(1e-3, 1e5), "priority": st.integers(0, 9)}
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "routing_strategy": st.sampled_from(STRATEGIES),
        "router_settings_override": st.sampled_from([{"routing_strategy": s} for s in STRATEGIES]),
        "routebalance": CONTROLS,
        "priority": st.integers(-5, 10),
        "metadata": st.sampled_from([{}, {"user_api_key_auth": {"models": []}}, {"user_api_key_auth": "x"}]),
        "_router_weights": st.sampled_from([{"auto": {"large-0": 1}}, {"large": {"large-0": 1}}, []]),
    },
)
HEADERS = st.dictionaries(
    st.sampled_from(["x-routebalance-max-cost-usd", "x-routebalance-weights", "x-routebalance-priority"]),
    st.sampled_from(["1e9", "0.01", "quality", "0", "-1", "9" * 400]),
    max_size=2,
)


def tenant(models: list[str], team: str | None, of_key: dict[str, Any], of_team: dict[str, Any]) -> Any:
    from litellm.proxy._types import UserAPIKeyAuth

    return UserAPIKeyAuth(
        api_key=f"sk-{team}-{sorted(models)}",
        models=models,
        team_id=team,
        metadata={"routebalance": of_key},
        team_metadata={"routebalance": of_team},
        user_role="internal_user",
    )


def shared_router(**args: Any) -> Any:
    members = [
        deployment(f"{group}-{n}", quality, group, {"routebalance": {"quality": quality, "hosted": False}})
        for group, quality in zip(GROUPS, (0.2, 0.5, 0.9), strict=True)
        for n in range(2)
    ]
    given = {"redis": {"enabled": False}, "weights": "quality", "member_access": "key", **args}
    group = {
        "group_name": "auto",
        "models": list(GROUPS),
        "routing_strategy": "routebalance",
        "routing_strategy_args": given,
    }
    return router(*members, routing_strategy="simple-shuffle", routing_groups=[group])


def arrived(of: Any, caller: Any, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
    """A request after LiteLLM's proxy has noted who sends it, and after our hook.

    Raises:
        BadControls: it is refused.
    """
    data = json.loads(json.dumps({"model": "auto", **body}, default=str))
    data["litellm_call_id"] = "call"
    data["proxy_server_request"] = {"body": dict(data), "headers": headers}
    data["metadata"] = {**data.get("metadata", {}), "user_api_key_auth": caller}

    def planner() -> Any:
        found = current().selector_for(of, "auto", data)
        return None if found is None else found.planner

    take_in(data, caller, planner)
    data.pop("router_settings_override", None)
    return data


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(
    mine=st.sets(st.sampled_from(GROUPS), min_size=1),
    team=st.sampled_from([None, "a", "b"]),
    of_key=LEVELS,
    of_team=LEVELS,
    body=BODIES,
    headers=HEADERS,
    refused=st.sampled_from(["reject", "ignore"]),
    hook=st.booleans(),
)
def test_no_request_reaches_a_member_that_its_key_may_not_use(
    shared: Any,  # noqa: F811
    mine: set[str],
    team: str | None,
    of_key: dict[str, Any],
    of_team: dict[str, Any],
    body: dict[str, Any],
    headers: dict[str, str],
    refused: str,
    hook: bool,
) -> None:
    caps = {"refused": refused, "caps": {"max_cost_usd": {"max": CAP}}}
    of = shared_router(max_cost_usd=CAP / 2, overrides=caps)
    caller = tenant(["auto", *sorted(mine)], team, of_key, of_team)

    async def run() -> str | None:
        try:
            if hook:
                data = arrived(of, caller, body, headers)
            else:  # an endpoint of LiteLLM's that asks nobody about what comes in
                kept = {n: v for n, v in body.items() if n == "routing_strategy"}
                sent = {"body": kept, "headers": {}}
                data = {**kept, "metadata": {"user_api_key_auth": caller}, "proxy_server_request": sent}
        except BadControls:
            return None
        selector = current().selector_for(of, "auto", data)
        assert selector is not None, data
        kept = {
            n: data[n] for n in ("routing_strategy", "proxy_server_request", "litellm_call_id") if n in data
        }
        response = await of.acompletion(
            model="auto", messages=[{"role": "user", "content": "Hello"}], metadata=data["metadata"], **kept
        )
        return answered_by(response).split("-")[0]

    reached = contextvars.copy_context().run(asyncio.run, run())
    assert reached is None or reached in mine


@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
@given(
    of_key=LEVELS, of_team=LEVELS, body=BODIES, headers=HEADERS, refused=st.sampled_from(["reject", "ignore"])
)
def test_no_control_is_weaker_than_the_operators(
    shared: Any,  # noqa: F811
    of_key: dict[str, Any],
    of_team: dict[str, Any],
    body: dict[str, Any],
    headers: dict[str, str],
    refused: str,
) -> None:
    waits = {
        "max_wait_s": 10.0,
        "by_priority": [{"priority": 0, "max_wait_s": 60.0}, {"priority": 5, "max_wait_s": 1.0}],
    }
    args = {
        "max_cost_usd": CAP / 2,
        "admission": waits,
        "overrides": {"refused": refused, "caps": {"max_cost_usd": {"max": CAP}}},
    }
    parsed = parse_settings(args, "routing_strategy_args")
    planner = Planner(parsed)
    caller = tenant([], "a", of_key, of_team)

    def run() -> None:
        data = json.loads(json.dumps({"model": "auto", **body}, default=str))
        data |= {"litellm_call_id": "call", "proxy_server_request": {"body": dict(data), "headers": headers}}
        try:
            take_in(data, caller, lambda: planner)
        except BadControls as error:
            assert error.status in (400, 403)  # noqa: PT017  most are not refused
            return
        plan = planner.plan(given_to(data))
        assert plan.max_cost_usd is not None
        assert plan.max_cost_usd <= CAP
        assert parsed.admission is not None
        granted = of_key.get("priority", of_team.get("priority"))
        most = parsed.admission.wait_limit_s(granted)
        assert parsed.admission.wait_limit_s(plan.priority) <= most

    contextvars.copy_context().run(run)


@pytest.mark.parametrize("wrong", [{"weights": "none"}, {"theta": 7}, {"max_cost_usd": "9" * 400}])
def test_where_no_hook_has_looked_wrong_controls_set_aside_nothing_of_team_and_key(wrong: Any) -> None:
    bound = {"max_cost_usd": 0.01, "fixed": ["max_cost_usd"]}
    caller = tenant([], "a", {"priority": 4}, bound)
    given = given_to({"metadata": {"user_api_key_auth": caller, "routebalance": wrong}})
    assert given.team is not None
    assert given.team.max_cost_usd == 0.01
    assert given.key is not None
    assert given.key.priority == 4
    made_by_itself = tenant([], "a", wrong, bound)
    assert given_to({"metadata": {"user_api_key_auth": made_by_itself}}).team == given.team


def test_shadow_mode_cannot_keep_access_and_says_so() -> None:
    with pytest.raises(SettingsError, match="member_access: key needs mode: active"):
        parse_settings({"mode": "shadow", "member_access": "key"}, "routing_strategy_args")


@pytest.mark.parametrize("weight", [10**400, float("inf"), float("nan"), -1, True, "1", [], {}])
def test_a_weight_that_is_none_fails_nobody(weight: Any) -> None:
    entries = [{"model_name": "large", "model_info": {"id": f"large-{n}"}} for n in range(2)]
    left, weights = of_key(entries, "auto", {"_router_weights": {"large": {"large-0": weight, "large-1": 1}}})
    assert left[-1] is entries[1]
    assert weights is not None
    assert all(0.0 < w <= 1.0 for w in weights.values())


async def explained(of: Any, caller: Any, text: str) -> str:
    """What a key that is no admin is told, as bytes."""
    data = {"metadata": {"user_api_key_auth": caller, "session_id": "s"}, "litellm_call_id": "explain"}
    with inquiry() as asked:
        await of.async_get_available_deployment(
            model="auto", request_kwargs=data, messages=[{"role": "user", "content": text}]
        )
    assert asked.answer is not None
    return json.dumps(coarse(asked.answer), sort_keys=True)


@settings(max_examples=25, deadline=None, suppress_health_check=QUIET)
@given(
    others=st.lists(st.tuples(st.sampled_from(["p" * 600, "q" * 600]), st.sampled_from(GROUPS)), max_size=5),
    across=st.sampled_from(["caller", "all"]),
)
def test_nothing_that_is_not_load_tells_what_another_tenant_did(
    shared: Any,  # noqa: F811
    others: list[tuple[str, str]],
    across: str,
) -> None:
    """Two runs of one tenant, one with another tenant's traffic before it: byte-equal.

    The other one's traffic is what a pick leaves in memory. What attempts teach of deployments' speed is
    load, which is documented, and left out.
    """
    me = tenant(["auto", *GROUPS], "me", {}, {})
    other = tenant(["auto", *GROUPS], "other", {}, {})

    async def run(traffic: bool) -> list[str]:
        of = shared_router(affinity={"across": across})
        selector = current().selector_for(of, "auto", {})
        assert selector is not None
        if traffic:
            data = {"metadata": {"user_api_key_auth": other, "session_id": "s"}}
            memory = shared.balancer.memory
            for text, model in others:
                read = read_prompt([{"role": "user", "content": text}], None, data)
                prompt = selector._reader.owned(read, data)  # type: ignore[attr-defined]
                for row in range(3):
                    memory.index.sent(block_names(prompt.text, prompt.owner), row, shared.clock())
                memory.conversations.served(prompt.session, model)
        return [await explained(of, me, text) for text in ("p" * 600, "q" * 600, "Hi")]

    assert asyncio.run(run(False)) == asyncio.run(run(True))
