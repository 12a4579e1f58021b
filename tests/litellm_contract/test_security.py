"""Whatever a client sends, it reaches no deployment that its key may not use, and no prompt is told."""

import asyncio
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rb_litellm.litellm_adapter.proxy.endpoints.routes import PREFIX
from tests.litellm_contract.routers import answered_by, deployment, router

GROUPS = ("small", "medium", "large")
SECRET = "my-secret-prompt-7f3a"
CONTROLS = st.fixed_dictionaries(
    {},
    optional={
        "weights": st.sampled_from(["quality", "cost", "latency"]),
        "quality_min": st.floats(0, 1),
        "slo_mode": st.sampled_from(["tiered", "prefer"]),
        "max_cost_usd": st.floats(0.1, 10.0),
        "ttft_ms": st.floats(0.001, 1e5),
    },
)


def limited(models, team_models):
    from litellm.proxy._types import UserAPIKeyAuth

    return UserAPIKeyAuth(api_key="sk-x", models=models, team_models=team_models)


def members(tag_of):
    return [
        deployment(f"{group}-{n}", quality, group=group, tags=[tag_of[group]])
        for group, quality in zip(GROUPS, (0.2, 0.5, 0.9), strict=True)
        for n in range(2)
    ]


def grouped(tag_of, **args):
    return router(
        *members(tag_of),
        routing_strategy="simple-shuffle",
        enable_tag_filtering=True,
        routing_groups=[
            {
                "group_name": "auto",
                "models": list(GROUPS),
                "routing_strategy": "routebalance",
                "routing_strategy_args": {"redis": {"enabled": False}, "member_access": "key", **args},
            }
        ],
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mine=st.sets(st.sampled_from(GROUPS), min_size=1),
    tag=st.sampled_from(["free", "paid"]),
    tags=st.fixed_dictionaries({group: st.sampled_from(["free", "paid"]) for group in GROUPS}),
    controls=CONTROLS,
)
def test_no_request_reaches_what_its_key_and_tags_do_not_allow(shared, mine, tag, tags, controls):
    async def ask():
        of = grouped(tags)
        metadata = {
            "user_api_key_auth": limited(["auto", *sorted(mine)], []),
            "tags": [tag],
            "routebalance": controls,
        }
        response = await of.acompletion(
            model="auto", messages=[{"role": "user", "content": "Hello"}], metadata=metadata
        )
        return answered_by(response).split("-")[0]

    reachable = {group for group in mine if tags[group] == tag}
    if reachable:
        assert asyncio.run(ask()) in reachable
    else:
        with pytest.raises(Exception, match=r"."):
            asyncio.run(ask())


async def test_no_log_line_and_no_record_carries_the_prompt(shared, caplog, monkeypatch):
    of = router(deployment("a", 0.9), deployment("b", 0.1))

    def broken(*args, **kwargs):
        raise RuntimeError("broken for the test")

    with caplog.at_level(logging.DEBUG, logger="rb_litellm"):
        for break_it in (False, True):
            if break_it:
                monkeypatch.setattr(shared.balancer, "decide", broken)
            bad = {"routebalance": {"weights": "best"}}
            await of.acompletion(model="auto", messages=[{"role": "user", "content": SECRET}], metadata=bad)
    ours = [record.getMessage() for record in caplog.records if record.name == "rb_litellm"]
    assert ours
    assert SECRET not in "\n".join(ours)
    assert SECRET not in repr(list(shared.outcomes))


def test_every_endpoint_of_ours_asks_for_a_key_first(monkeypatch):
    server = pytest.importorskip("litellm.proxy.proxy_server")
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from rb_litellm.litellm_adapter.proxy.endpoints import routes
    from rb_litellm.litellm_adapter.worker import worker

    # Without a master key LiteLLM asks nobody for anything.
    monkeypatch.setattr(server, "master_key", "sk-master-of-the-test")
    app = FastAPI()
    app.include_router(routes.all_endpoints(worker()))
    client = TestClient(app, raise_server_exceptions=False)
    paths = app.openapi()["paths"]
    assert paths
    for path, methods in paths.items():
        assert path.startswith(PREFIX)
        for method in methods:
            answer = client.request(method.upper(), path, json={"model": "auto"})
            assert answer.status_code >= 400, (method, path, answer.status_code)
