"""Registration: everything that it is built on exists, it can be repeated, and the Admin UI can offer it."""

import inspect
from typing import get_args

import litellm
import pytest

import rb_litellm
from rb_litellm.config import SettingsError
from rb_litellm.litellm_adapter.hosts.host import STRATEGY, UnsupportedLiteLLM, current
from rb_litellm.predictors.trained.model import PredictorError
from tests.litellm_contract import private_names
from tests.litellm_contract.routers import QUALITY_ONLY, deployment, router


@pytest.mark.parametrize(("owner", "name"), private_names.needed(), ids=lambda it: str(it))
def test_every_private_name_exists(owner, name):
    assert hasattr(owner, name)


def test_registering_again_changes_nothing():
    groups = private_names.strategies_module()
    before = {place: inspect.getattr_static(*place) for place in private_names.needed()}
    signature = inspect.signature(litellm.Router.__init__)
    rb_litellm.register()
    rb_litellm.register()
    assert {place: inspect.getattr_static(*place) for place in before} == before
    assert groups.VALID_ROUTING_STRATEGIES.count(STRATEGY) == 1
    assert inspect.signature(litellm.Router.__init__) == signature


@pytest.mark.parametrize("number", [0, -2])
def test_a_release_that_lacks_something_is_refused_by_name_and_left_as_it_was(monkeypatch, number):
    owner, name = list(private_names.needed())[number]
    groups = private_names.strategies_module()
    monkeypatch.setattr(*private_names.marked(), False)
    before = groups.VALID_ROUTING_STRATEGIES
    monkeypatch.delattr(owner, name)
    with pytest.raises(UnsupportedLiteLLM, match=name):
        current().install()
    monkeypatch.undo()
    assert before == groups.VALID_ROUTING_STRATEGIES


def test_the_admin_ui_can_offer_and_describe_the_strategy():
    from litellm.proxy.management_endpoints import router_settings_endpoints as endpoints
    from litellm.types.management_endpoints import ROUTING_STRATEGY_DESCRIPTIONS

    assert STRATEGY in endpoints._get_routing_strategies_from_router_class()
    assert STRATEGY in endpoints.ROUTING_STRATEGY_DESCRIPTIONS
    assert "quality" in ROUTING_STRATEGY_DESCRIPTIONS[STRATEGY]


def test_litellms_own_strategies_are_still_offered():
    offered = get_args(inspect.signature(litellm.Router.__init__).parameters["routing_strategy"].annotation)
    assert {"simple-shuffle", "least-busy", "latency-based-routing", "cost-based-routing"} <= set(offered)


def test_a_router_says_its_strategy():
    made = router(deployment("a"))
    assert current().strategy_of(made) == STRATEGY
    assert made.get_settings()["routing_strategy"] == STRATEGY


def test_a_strategy_that_nobody_knows_is_refused_as_before():
    with pytest.raises(ValueError, match="routebalancer"):
        router(deployment("a"), routing_strategy="routebalancer")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (
            {"weights": "fast"},
            ["routing_strategy_args.weights", "'fast'", "balanced, quality, latency, cost"],
        ),
        ({"wieghts": "cost"}, ["routing_strategy_args.wieghts", "'cost'", "weights"]),
        ({"weights": {"quality": 1, "latency": 1, "cost": 1}}, ["weights sum to 3", "must sum to 1"]),
    ],
)
def test_a_bad_setting_stops_the_router_at_its_start_and_is_named(args, said):
    with pytest.raises(SettingsError) as caught:
        router(deployment("a"), routing_strategy_args=args)
    assert all(words in str(caught.value) for words in said)


def test_a_bad_setting_of_a_deployment_stops_the_router_at_its_start_and_is_named():
    with pytest.raises(SettingsError, match=r"model_info\.routebalance of auto\.quality.*\(value 7\)"):
        router(deployment("a", quality=7))


@pytest.mark.parametrize("where", ["missing", "a file"])
def test_an_unusable_predictor_folder_stops_the_router_at_its_start(tmp_path, where):
    path = tmp_path / "predictor"
    if where == "a file":
        path.write_text("x")
    with pytest.raises(PredictorError, match=str(path)):
        router(deployment("a"), routing_strategy_args={**QUALITY_ONLY, "predictor": {"path": str(path)}})


@pytest.mark.parametrize("url", ["http://localhost", "localhost:6379", ""])
def test_a_redis_address_that_is_none_stops_the_router_at_its_start(url):
    with pytest.raises(SettingsError, match=r"routing_strategy_args\.redis\.url"):
        router(deployment("a"), routing_strategy_args={"redis": {"url": url}})


def test_a_routing_group_of_an_unknown_model_or_setting_is_refused():
    group = {"group_name": "g", "models": ["auto"], "routing_strategy": STRATEGY}
    with pytest.raises(SettingsError, match=r"wieghts.*'cost'"):
        router(
            deployment("a"),
            routing_strategy="simple-shuffle",
            routing_groups=[{**group, "routing_strategy_args": {"wieghts": "cost"}}],
        )
