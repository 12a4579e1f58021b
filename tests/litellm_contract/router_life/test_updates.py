"""`Router.update_settings` with settings of ours: applied at once, or refused with the old ones kept."""

import json
import logging
from contextlib import contextmanager

import pytest
from litellm.types.router import Deployment

from rb_litellm.litellm_adapter.hosts.settings.page import FIELD
from rb_litellm.litellm_adapter.hosts.settings.proxy import guard_stored_settings, offer_stored_settings
from tests.litellm_contract.routers import QUALITY_ONLY, ask, deployment, router


def weights(quality, latency, cost):
    return {"weights": {"quality": quality, "latency": latency, "cost": cost}, "redis": {"enabled": False}}


async def test_new_arguments_are_in_force_at_once():
    of = router(deployment("good", 0.9, input_cost_per_token=1e-4), deployment("cheap", 0.1))
    assert await ask(of) == "good"
    of.update_settings(routing_strategy_args=weights(0.0, 0.0, 1.0))
    assert await ask(of) == "cheap"


async def test_a_wrong_deployment_that_came_later_keeps_no_settings_from_changing():
    """One from the database is served without its wrong settings; those of the Router are another matter."""
    of = router(deployment("good", 0.9, input_cost_per_token=1e-4), deployment("cheap", 0.1))
    of.upsert_deployment(Deployment(**deployment("late", 7, input_cost_per_token=1e-2)))
    of.update_settings(routing_strategy_args=weights(0.0, 0.0, 1.0))
    assert await ask(of) == "cheap"


async def test_a_wrong_deployment_that_came_later_fails_no_request_with_a_strategy_of_its_own():
    of = router(deployment("good"), routing_strategy="simple-shuffle")
    of.upsert_deployment(Deployment(**deployment("late", 7)))
    assert await ask(of, routing_strategy="routebalance") in ("good", "late")


async def test_new_arguments_that_come_with_routing_groups_are_in_force_at_once():
    of = router(
        *(deployment(f"good-{g}", 0.9, group=g, input_cost_per_token=1e-4) for g in ("own", "small")),
        *(deployment(f"cheap-{g}", 0.1, group=g) for g in ("own", "small")),
        routing_groups=[{**GROUP, "routing_strategy_args": weights(1, 0, 0)}],
    )
    assert (await ask(of, model="own"), await ask(of)) == ("good-own", "good-small")
    groups = [{**GROUP, "routing_strategy_args": weights(0, 0, 1)}]
    of.update_settings(routing_strategy_args=weights(0, 0, 1), routing_groups=groups)
    assert (await ask(of, model="own"), await ask(of)) == ("cheap-own", "cheap-small")


async def test_wrong_arguments_are_refused_with_the_reason_and_the_old_ones_stay(caplog):
    of = router(deployment("good", 0.9), deployment("bad", 0.1))
    with caplog.at_level(logging.ERROR, logger="rb_litellm"):
        of.update_settings(routing_strategy_args={"weights": "best"}, num_retries=1)
        of.update_settings(routing_strategy_args={"weights": "best"}, num_retries=1)
    assert caplog.text.count("unknown preset 'best'") == 1
    assert of.num_retries == 1
    assert await ask(of) == "good"


@pytest.mark.parametrize(
    "settings",
    [
        {"routing_strategy_args": {"weights": "best"}},
        {"routing_strategy_args": {"predictor": {"path": "/nowhere"}}},
        {FIELD: '{"weights": "best"}'},
        {FIELD: "best"},
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


GROUP = {"group_name": "auto", "models": ["small"], "routing_strategy": "routebalance"}


def grouped():
    return router(
        deployment("a", group="small"), routing_groups=[{**GROUP, "routing_strategy_args": weights(1, 0, 0)}]
    )


def test_the_admin_ui_is_told_of_arguments_it_has_no_field_for_and_may_save_them():
    server = pytest.importorskip("litellm.proxy.proxy_server")
    from litellm.types.management_endpoints import ROUTER_SETTINGS_FIELDS

    of = grouped()
    writable, known = server.RUNTIME_UPDATABLE_ROUTER_SETTINGS, list(ROUTER_SETTINGS_FIELDS)
    try:
        offer_stored_settings(server, of)
        offer_stored_settings(server, of)
        for name, args in [(FIELD, QUALITY_ONLY), (f"{FIELD}:auto", weights(1, 0, 0))]:
            assert json.loads(of.get_settings()[name]) == args
            assert [field.field_name for field in ROUTER_SETTINGS_FIELDS].count(name) == 1
            assert name in server.RUNTIME_UPDATABLE_ROUTER_SETTINGS
        assert writable < server.RUNTIME_UPDATABLE_ROUTER_SETTINGS
    finally:
        server.RUNTIME_UPDATABLE_ROUTER_SETTINGS = writable
        ROUTER_SETTINGS_FIELDS[:] = known


def test_arguments_saved_by_the_admin_ui_are_stored_where_litellm_looks_for_them():
    with asked_before_storing(grouped()) as may_write:
        saved = {f"{FIELD}:auto": '{"weights": "cost"}', FIELD: '{"weights": "latency"}'}
        may_write(section_name="router_settings", changed_keys=saved)
        assert saved["routing_strategy_args"] == {"weights": "latency"}
        assert [g["routing_strategy_args"] for g in saved["routing_groups"]] == [{"weights": "cost"}]
        assert set(saved) == {"routing_strategy_args", "routing_groups"}


@pytest.mark.parametrize("sent", [{"routing_strategy_args": None}, {}])
def test_a_group_edited_in_the_admin_ui_keeps_its_arguments(sent):
    with asked_before_storing(grouped()) as may_write:
        edited = {**GROUP, "models": ["small", "large"], **sent}
        may_write(section_name="router_settings", changed_keys={"routing_groups": [edited]})
        assert edited["routing_strategy_args"] == weights(1, 0, 0)


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


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_deployment_that_is_edited_is_seen_with_the_next_request():
    from litellm.types.router import Deployment

    of = router(deployment("a", 0.9), deployment("b", 0.5))
    assert await ask(of) == "a"
    of.upsert_deployment(Deployment(**deployment("b", 0.99)))
    assert await ask(of) == "b"
    of.delete_deployment("b")
    assert await ask(of) == "a"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_custom_strategy_that_takes_our_place_is_told(caplog):
    from litellm.types.router import CustomRoutingStrategyBase

    class First(CustomRoutingStrategyBase):
        async def async_get_available_deployment(self, model, *_, **__):
            return next(entry for entry in of.model_list if entry["model_info"]["id"] == "bad")

        def get_available_deployment(self, *_, **__):
            raise NotImplementedError

    of = router(deployment("good", 0.9), deployment("bad", 0.1))
    of.set_custom_routing_strategy(First())
    assert "a custom routing strategy was registered" in caplog.text
    assert await ask(of) == "bad"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_wrong_arguments_of_a_group_are_refused_and_the_old_ones_stay(caplog):
    of = router(
        deployment("good", 0.9, group="small"),
        deployment("bad", 0.1, group="small"),
        routing_strategy="simple-shuffle",
        routing_groups=[{**GROUP, "routing_strategy_args": weights(1, 0, 0)}],
    )
    wrong = {**GROUP, "routing_strategy_args": {"weights": "best"}}
    of.update_settings(routing_groups=[wrong], num_retries=1)
    assert "unknown preset 'best'" in caplog.text
    assert of.num_retries == 1
    assert {await ask(of, model="auto") for _ in range(5)} == {"good"}
