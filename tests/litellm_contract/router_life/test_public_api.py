"""The host that uses LiteLLM's public entry points alone: what it serves, what it refuses, what it says."""

from __future__ import annotations

import asyncio
import logging
from importlib.util import find_spec
from typing import Any

import litellm
import pytest

from rb_litellm.litellm_adapter.hosts import host as hosts
from rb_litellm.litellm_adapter.hosts.host import UnsupportedLiteLLM
from rb_litellm.litellm_adapter.hosts.public.router import ServedRouter
from rb_litellm.litellm_adapter.hosts.public_api import PublicApi
from rb_litellm.litellm_adapter.request.explanation import inquiry
from rb_litellm.litellm_adapter.runtime import Runtime
from tests.litellm_contract.routers import HELLO, QUALITY_ONLY, answered_by, ask, deployment, router

PUBLIC = hasattr(litellm.Router, "register_plugin")
needs_public = pytest.mark.skipif(
    find_spec("litellm.router_rust") is None, reason="releases to come follow the line of 1.110"
)
COST_ONLY = {"weights": {"quality": 0, "latency": 0, "cost": 1}}
FAILS = {"mock_response": "litellm.InternalServerError"}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PublicApi:
    """Installed for one test; other tests go on with the host of this release."""
    init = litellm.Router.__init__
    untouched = getattr(init, "__wrapped__", init) if hasattr(init, "__routebalance_public__") else init
    monkeypatch.setattr(litellm.Router, "__init__", untouched)
    monkeypatch.setattr(litellm.Router, "from_config", vars(litellm.Router)["from_config"])
    made = PublicApi()
    made.install()
    monkeypatch.setattr(hosts, "_installed", [made])
    return made


def two(**params: Any) -> list[dict[str, Any]]:
    return [deployment("bad", 0.1, **params), deployment("good", 0.9)]


def group(name: str, *models: str, strategy: str = "routebalance", **more: Any) -> dict[str, Any]:
    return {"group_name": name, "models": list(models), "routing_strategy": strategy, **more}


def errors(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR)


async def seen(of: Any, model: str = "auto", times: int = 12) -> set[str]:
    return {await ask(of, model) for _ in range(times)}


def drop_in_silence(of: Any) -> None:
    """What LiteLLM does to a plugin when the strategy is changed, past all that we look at."""
    core = vars(of)["_core"]
    core._custom_strategy = None
    vars(core).pop("get_available_deployment", None)


@pytest.mark.skipif(PUBLIC, reason="this LiteLLM has register_plugin")
def test_a_release_without_the_entry_points_is_refused_by_their_names() -> None:
    with pytest.raises(UnsupportedLiteLLM, match="register_plugin"):
        PublicApi().install()


@needs_public
class TestServing:
    async def test_the_best_is_picked_and_accounted(self, host: PublicApi, shared: Runtime) -> None:
        of = router(*two())
        assert await seen(of) == {"good"}
        assert host.strategy_of(of) == "routebalance"
        assert host.selector_for(of, "auto", {}) is not None
        assert shared.counters.decisions == 12

    async def test_a_stream_is_served_to_its_end(self, host: PublicApi) -> None:
        stream = await router(*two()).acompletion(model="auto", messages=HELLO, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == "from good"

    def test_synchronous_calls_are_decided_too(self, host: PublicApi, shared: Runtime) -> None:
        answers = {answered_by(router(*two()).completion(model="auto", messages=HELLO)) for _ in range(3)}
        assert answers == {"good"}
        assert shared.counters.decisions == 3

    async def test_synchronous_calls_within_an_event_loop_do_not_block_it_for_ever(
        self, host: PublicApi
    ) -> None:
        assert answered_by(router(*two()).completion(model="auto", messages=HELLO)) == "good"

    async def test_a_retry_goes_elsewhere(self, host: PublicApi, shared: Runtime) -> None:
        of = router(deployment("good", 0.9, **FAILS), deployment("other", 0.5), num_retries=1)
        assert await ask(of) == "other"
        assert shared.counters.decisions == 2
        # How soon "good" is passed over without being tried depends on how long its failures take.
        assert await seen(of, times=4) == {"other"}

    async def test_fallbacks_are_picked_by_us_as_well(self, host: PublicApi, shared: Runtime) -> None:
        of = router(
            deployment("broken", 0.9, **FAILS),
            deployment("bad", 0.1, group="spare"),
            deployment("good", 0.9, group="spare"),
            fallbacks=[{"auto": ["spare"]}],
        )
        assert await seen(of, times=4) == {"good"}

    async def test_only_candidates_of_litellms_filters_are_chosen(self, host: PublicApi) -> None:
        of = router(
            deployment("good", 0.9, tags=["paid"]), deployment("bad", 0.1, tags=["free"]),
            enable_tag_filtering=True,
        )  # fmt: skip
        assert {await ask(of, metadata={"tags": ["free"]}) for _ in range(4)} == {"bad"}

    async def test_litellms_own_refusal_reaches_the_client(self, host: PublicApi) -> None:
        of = router(*two(), enable_tag_filtering=True)
        with pytest.raises(litellm.BadRequestError, match="no-such-model"):
            await ask(of, model="no-such-model")
        of = router(deployment("only", 0.9, **FAILS), disable_cooldowns=False, allowed_fails=0, num_retries=0)
        with pytest.raises(litellm.InternalServerError):
            await ask(of)

    async def test_a_deployment_named_by_its_id_serves(self, host: PublicApi) -> None:
        assert await ask(router(*two()), model="bad") == "bad"

    async def test_a_name_by_alias_is_decided(self, host: PublicApi) -> None:
        of = router(
            *(deployment(i, q, group="small") for i, q in (("bad", 0.1), ("good", 0.9))),
            routing_strategy="simple-shuffle",
            routing_groups=[group("auto", "small", routing_strategy_args=QUALITY_ONLY)],
            model_group_alias={"nick": "auto"},
        )
        assert await seen(of, "nick") == {"good"}

    async def test_a_router_without_our_strategy_is_left_alone(self, host: PublicApi) -> None:
        of = router(*two(), routing_strategy="simple-shuffle")
        assert ServedRouter.of(of) is None
        assert await seen(of, times=30) == {"good", "bad"}
        assert host.strategy_of(of) == "simple-shuffle"
        assert host.our_groups(of) == {}

    async def test_a_discarded_router_goes(self, host: PublicApi) -> None:
        import gc
        import weakref

        of = router(*two())
        await ask(of)
        gone = weakref.ref(of)
        # The exchange with other workers goes by the Router that was built last.
        of = router(*two())
        for _ in range(3):
            await asyncio.sleep(0.05)
            gc.collect()
        assert gone() is None

    async def test_what_fails_inside_is_routed_all_the_same(
        self, host: PublicApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(*two())
        selector = host.selector_for(of, "auto", {})

        def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(selector, "select", broken)
        monkeypatch.setattr(selector, "select_now", broken)
        assert await ask(of) in {"good", "bad"}
        assert answered_by(of.completion(model="auto", messages=HELLO)) in {"good", "bad"}
        assert "a pick failed" in errors(caplog)

    async def test_explain_reaches_the_selector(self, host: PublicApi) -> None:
        of = router(*two())
        with inquiry() as asked:
            await of.async_get_available_deployment(model="auto", request_kwargs={}, messages=HELLO)
        assert asked.answer is not None

    async def test_a_decision_is_left_in_the_metadata(self, host: PublicApi) -> None:
        request: dict[str, Any] = {"litellm_metadata": {"a": 1}, "metadata": {}}
        host.record_decision(request, {"score": 1})
        assert request == {"litellm_metadata": {"a": 1, "routing_decision": {"score": 1}}, "metadata": {}}

    def test_the_constructor_still_tells_its_parameters(self, host: PublicApi) -> None:
        import inspect

        assert "routing_strategy" in inspect.signature(litellm.Router.__init__).parameters

    async def test_a_router_of_the_proxy_is_served(self, host: PublicApi) -> None:
        from litellm.router import router_arguments
        from litellm.router_config import build_router_config

        arguments = router_arguments(
            model_list=two(), routing_strategy="routebalance", routing_strategy_args=QUALITY_ONLY
        )
        assert await seen(litellm.Router.from_config(build_router_config(arguments))) == {"good"}

    def test_wrong_settings_stop_the_start(self, host: PublicApi) -> None:
        with pytest.raises(ValueError, match="weights"):
            router(*two(), routing_strategy_args={"weights": "best"})


@needs_public
class TestGroups:
    async def test_groups_have_arguments_of_their_own(self, host: PublicApi) -> None:
        of = router(
            deployment("good", 0.9, group="large", output_cost_per_token=1e-5),
            deployment("cheap", 0.2, group="small", output_cost_per_token=1e-6),
            deployment("good-2", 0.9, group="large-2", output_cost_per_token=1e-5),
            deployment("cheap-2", 0.2, group="small-2", output_cost_per_token=1e-6),
            routing_strategy="simple-shuffle",
            routing_groups=[
                group("best", "large", "small", routing_strategy_args=QUALITY_ONLY),
                group("thrifty", "large-2", "small-2", routing_strategy_args=COST_ONLY),
            ],
        )
        assert await seen(of, "best") == {"good"}
        assert await seen(of, "thrifty") == {"cheap-2"}
        assert host.our_groups(of) == {"best": {"large", "small"}, "thrifty": {"large-2", "small-2"}}
        assert host.strategy_of(of) == "simple-shuffle"
        assert host.selector_for(of, "best", {}) is host.selector_for(of, "small", {}) is not None

    async def test_what_is_not_ours_is_shuffled_by_weight_and_told(
        self, host: PublicApi, shared: Runtime, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(
            *two(),
            deployment("much", 0.1, group="rest", weight=1),
            deployment("nothing", 0.9, group="rest", weight=0),
            deployment("l-1", group="busy"),
            deployment("l-2", group="busy"),
            routing_strategy="simple-shuffle",
            routing_groups=[
                group("best", "auto", routing_strategy_args=QUALITY_ONLY),
                group("least", "busy", strategy="least-busy"),
            ],
        )
        assert await seen(of, "rest") == {"much"}
        assert await seen(of, "least", times=30) == {"l-1", "l-2"}
        assert shared.counters.decisions == 0
        assert "routing group least (least-busy)" in errors(caplog)

    async def test_a_priority_group_keeps_its_order(self, host: PublicApi) -> None:
        of = router(
            deployment("second", 0.9, group="a"),
            deployment("first", 0.1, group="b"),
            routing_groups=[group("pri", "a", "b", strategy="priority", model_priorities={"a": 2, "b": 1})],
        )
        assert await seen(of, "pri", times=6) == {"first"}


@needs_public
class TestWhatCannotWork:
    async def test_policy_plugins_are_not_bypassed(
        self, host: PublicApi, shared: Runtime, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(*two(), plugins=[DenyGood()])
        assert await seen(of) == {"bad"}
        assert shared.counters.decisions == 0
        assert "router_settings.plugins" in errors(caplog)
        assert host.strategy_of(of) == "simple-shuffle"
        assert host.selector_for(of, "auto", {}) is None

    async def test_a_policy_plugin_that_comes_later_holds_at_once(
        self, host: PublicApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(*two())
        assert await seen(of) == {"good"}
        of.routing_plugins.append(DenyGood())
        assert await seen(of) == {"bad"}
        of.routing_plugins.clear()
        host.watch(of)
        assert await seen(of) == {"good"}

    async def test_auto_routers_choose_the_model_group(self, host: PublicApi) -> None:
        tiers = dict.fromkeys(("SIMPLE", "MEDIUM", "COMPLEX", "REASONING"), "small")
        marker = {
            "model_name": "smart",
            "litellm_params": {
                "model": "auto_router/complexity_router",
                "complexity_router_config": {"tiers": tiers},
                "complexity_router_default_model": "small",
            },
        }
        small = (deployment(i, q, group="small") for i, q in (("bad", 0.1), ("good", 0.9)))
        assert await seen(router(marker, *small, deployment("else")), "smart") == {"good"}

    async def test_shadow_mode_leaves_the_picks_to_litellm(
        self, host: PublicApi, shared: Runtime, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(*two(), routing_strategy_args={"mode": "shadow", "base_strategy": "least-busy"})
        assert await seen(of, times=30) == {"good", "bad"}
        assert shared.counters.decisions == 0
        assert of.settings().routing_strategy == "least-busy"
        assert "shadow mode (routing_strategy)" in errors(caplog)

    async def test_a_strategy_of_a_key_is_ignored(self, host: PublicApi) -> None:
        of = router(*two())
        assert {await ask(of, routing_strategy="least-busy") for _ in range(6)} == {"good"}

    async def test_limits_are_told_once(self, host: PublicApi, caplog: pytest.LogCaptureFixture) -> None:
        router(*two())
        router(*two())
        told = [r for r in caplog.records if "public entry points alone" in r.getMessage()]
        assert len(told) == 1
        assert all(limit in told[0].getMessage() for limit in host.limits)


@needs_public
class TestChanges:
    async def test_a_plugin_dropped_in_silence_is_noticed_and_registered_again(
        self, host: PublicApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(*two())
        drop_in_silence(of)
        assert await seen(of, times=30) == {"good", "bad"}
        host.watch(of)
        await asyncio.sleep(0.05)
        assert await seen(of) == {"good"}
        assert "had dropped the plugin" in errors(caplog)

    async def test_looking_changes_nothing_while_the_plugin_is_there(
        self, host: PublicApi, shared: Runtime, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(*two())
        for _ in range(3):
            host.watch(of)
            await asyncio.sleep(0.02)
        assert errors(caplog) == ""
        assert shared.counters.decisions == 0

    async def test_another_strategy_seen_late_is_accepted_and_told(
        self, host: PublicApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(*two())
        core = vars(of)["_core"]
        type(core).apply(core, changed(routing_strategy="least-busy"))
        host.watch(of)
        await asyncio.sleep(0.05)
        assert host.strategy_of(of) == "least-busy"
        assert "RouteBalance was dropped" in errors(caplog)
        assert await seen(of, times=30) == {"good", "bad"}

    @pytest.mark.parametrize("how", ["apply", "update_settings"])
    async def test_changes_through_litellm_are_followed_at_once(
        self, host: PublicApi, how: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(*two())

        def change(**settings: Any) -> None:
            of.apply(changed(**settings)) if how == "apply" else of.update_settings(**settings)

        change(num_retries=1, routing_strategy="simple-shuffle")
        assert await seen(of) == {"good"}
        assert "RouteBalance was dropped" not in errors(caplog)
        change(routing_strategy="least-busy")
        assert "RouteBalance was dropped" in errors(caplog)
        assert await seen(of, times=30) == {"good", "bad"}
        change(routing_strategy="routebalance", routing_strategy_args=QUALITY_ONLY)
        assert host.strategy_of(of) == "routebalance"
        assert await seen(of) == {"good"}

    async def test_new_arguments_are_taken_and_wrong_ones_refused(
        self, host: PublicApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        of = router(
            deployment("good", 0.9, output_cost_per_token=1e-5),
            deployment("cheap", 0.2, output_cost_per_token=1e-6),
        )
        assert await seen(of) == {"good"}
        of.update_settings(routing_strategy_args={"weights": "best"})
        assert "are refused" in errors(caplog)
        assert await seen(of) == {"good"}
        of.update_settings(routing_strategy_args=COST_ONLY)
        assert await seen(of) == {"cheap"}

    async def test_groups_come_and_go(self, host: PublicApi, caplog: pytest.LogCaptureFixture) -> None:
        of = router(*two(), routing_groups=[group("best", "auto", routing_strategy_args=QUALITY_ONLY)],
                    routing_strategy="simple-shuffle")  # fmt: skip
        assert await seen(of, "best") == {"good"}
        of.apply(changed(routing_groups=[group("best", "auto", strategy="least-busy")]))
        assert "dropped from routing group best" in errors(caplog)
        assert await seen(of, "best", times=30) == {"good", "bad"}
        assert host.our_groups(of) == {}
        of.apply(changed(routing_groups=[group("best", "auto", routing_strategy_args=QUALITY_ONLY)]))
        assert await seen(of, "best") == {"good"}

    async def test_what_litellm_tells_of_our_group_and_gets_back_changes_nothing(
        self, host: PublicApi
    ) -> None:
        of = router(*two(), routing_groups=[group("best", "auto", routing_strategy_args=QUALITY_ONLY)],
                    routing_strategy="simple-shuffle")  # fmt: skip
        of.apply(changed(**{k: v for k, v in of.settings().as_dict().items() if k == "routing_groups"}))
        assert await seen(of, "best") == {"good"}

    async def test_another_plugin_is_left_in_its_place_and_told(
        self, host: PublicApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        from litellm.types.router import CustomRoutingStrategyBase

        class Theirs(CustomRoutingStrategyBase):
            async def async_get_available_deployment(self, *_: Any, **__: Any) -> Any:
                return of.model_list[0]

        of = router(*two())
        of.register_plugin(Theirs())
        assert "RouteBalance was dropped" in errors(caplog)
        host.watch(of)
        await asyncio.sleep(0.05)
        assert await seen(of) == {"bad"}


class DenyGood:
    """A policy: nothing goes to the good one."""

    async def run(self, context: Any) -> Any:
        context.candidate_models = [model for model in context.candidate_models if "good" not in model]
        return context


def changed(**settings: Any) -> Any:
    from litellm.router_api import ChangeSet

    return ChangeSet(settings=settings)
