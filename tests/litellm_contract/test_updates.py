"""`Router.update_settings` with settings of ours: applied at once, or refused with the old ones kept."""

import logging
from contextlib import contextmanager

import pytest

from rb_litellm.litellm_adapter.register import guard_stored_settings
from tests.litellm_contract.routers import ask, deployment, router


def weights(quality, latency, cost):
    return {"weights": {"quality": quality, "latency": latency, "cost": cost}, "redis": {"enabled": False}}


async def test_new_arguments_are_in_force_at_once():
    of = router(deployment("good", 0.9, input_cost_per_token=1e-4), deployment("cheap", 0.1))
    assert await ask(of) == "good"
    of.update_settings(routing_strategy_args=weights(0.0, 0.0, 1.0))
    assert await ask(of) == "cheap"


async def test_wrong_arguments_are_refused_with_the_reason_and_the_old_ones_stay(caplog):
    of = router(deployment("good", 0.9), deployment("bad", 0.1))
    with caplog.at_level(logging.ERROR, logger="rb_litellm"):
        of.update_settings(routing_strategy_args={"weights": "best"}, num_retries=1)
    assert "unknown preset 'best'" in caplog.text
    assert of.num_retries == 1
    assert await ask(of) == "good"


@pytest.mark.parametrize(
    "settings",
    [
        {"routing_strategy_args": {"weights": "best"}},
        {"routing_strategy_args": {"predictor": {"path": "/nowhere"}}},
        {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": ["small"],
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {"weights": "best"},
                }
            ]
        },
    ],
)
def test_wrong_settings_are_not_stored_by_the_proxy(settings):
    from fastapi import HTTPException

    with asked_before_storing(router(deployment("a"))) as may_write:
        with pytest.raises(HTTPException, match=r"best|/nowhere") as error:
            may_write(section_name="router_settings", changed_keys=settings)
        assert error.value.status_code == 400
        good = {"routing_strategy_args": {"weights": "cost"}}
        may_write(section_name="router_settings", changed_keys=good)


@pytest.mark.parametrize("sent", [{"routing_strategy_args": None}, {}])
def test_a_group_edited_in_the_admin_ui_keeps_the_arguments_that_it_has_no_field_for(sent):
    group = {"group_name": "auto", "models": ["small"], "routing_strategy": "routebalance"}
    of = router(
        deployment("a", group="small"), routing_groups=[{**group, "routing_strategy_args": weights(1, 0, 0)}]
    )
    with asked_before_storing(of) as may_write:
        edited = {**group, "models": ["small", "large"], **sent}
        reset = {**group, "routing_strategy_args": {}}
        for entry, kept in [(edited, weights(1, 0, 0)), (reset, {})]:
            may_write(section_name="router_settings", changed_keys={"routing_groups": [entry]})
            assert entry["routing_strategy_args"] == kept


@contextmanager
def asked_before_storing(of):
    """Whom LiteLLM's proxy asks before it stores settings."""
    server = pytest.importorskip("litellm.proxy.proxy_server")
    if not hasattr(server.proxy_config, "reject_config_owned_writes"):
        pytest.skip("this release asks nobody before it stores settings")
    guard_stored_settings(server, of)
    try:
        yield server.proxy_config.reject_config_owned_writes
    finally:
        del server.proxy_config.reject_config_owned_writes
