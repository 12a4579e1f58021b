"""Shadow mode: LiteLLM's own strategy serves, what would have been chosen is recorded, and that is all."""

import asyncio

import litellm
import pytest

from rb_litellm.telemetry.records.decision import as_json
from tests.litellm_contract.conftest import settled
from tests.litellm_contract.routers import HELLO, QUALITY_ONLY, answered_by, ask, deployment, router

SHADOW = {**QUALITY_ONLY, "mode": "shadow"}


def shadowing(*deployments, base="simple-shuffle", **settings):
    return router(*deployments, routing_strategy_args={**SHADOW, "base_strategy": base}, **settings)


def records(accounting):
    return [one.record for one in accounting.publisher.log.recent()]


async def test_the_base_strategy_serves(shared):
    of = shadowing(deployment("best", 0.9), deployment("worst", 0.1))
    served = {await ask(of) for _ in range(40)}
    assert served == {"best", "worst"}


async def test_what_would_have_been_chosen_is_recorded(accounting):
    of = shadowing(deployment("best", 0.9), deployment("worst", 0.1))
    served = [await ask(of) for _ in range(10)]
    told = [as_json(record) for record in records(accounting)][::-1]
    assert [one["deployment"] for one in told] == served
    assert {one["would"]["deployment"] for one in told} == {"best"}
    assert {one["reason"] for one in told} == {"shadow"}
    quality = {"best": 0.9, "worst": 0.1}
    assert [one["predicted"]["quality"] for one in told] == [quality[id] for id in served]


async def test_load_is_counted_where_it_went(shared):
    of = shadowing(deployment("a", mock_delay=0.3), deployment("b", mock_delay=0.3))
    asked = [asyncio.create_task(ask(of)) for _ in range(12)]
    await asyncio.sleep(0.15)
    counts = {id: shared.ledger.open_count(id) for id in ("a", "b")}
    served = await asyncio.gather(*asked)
    assert counts == {id: served.count(id) for id in ("a", "b")}
    await settled(shared)


@pytest.mark.parametrize(
    "base", ["least-busy", "latency-based-routing", "usage-based-routing-v2", "cost-based-routing"]
)
async def test_every_strategy_of_litellm_can_serve(accounting, base):
    of = shadowing(deployment("a", 0.9), deployment("b", 0.1, input_cost_per_token=0.0), base=base)
    for _ in range(5):
        assert await ask(of) in ("a", "b")
    assert len(records(accounting)) == 5


async def test_the_cheapest_serves_where_cost_decides(accounting):
    cheap = deployment("cheap", 0.1, input_cost_per_token=1e-9, output_cost_per_token=1e-9)
    of = shadowing(deployment("best", 0.9), cheap, base="cost-based-routing")
    assert {await ask(of) for _ in range(5)} == {"cheap"}
    assert {record.would["deployment"] for record in records(accounting)} == {"best"}


def test_synchronous_requests_are_watched_too(accounting):
    of = shadowing(deployment("best", 0.9), deployment("worst", 0.1))
    served = answered_by(of.completion(model="auto", messages=HELLO))
    (record,) = records(accounting)
    assert (record.deployment, record.would["deployment"]) == (served, "best")


async def test_a_failure_of_ours_changes_nothing(shared, monkeypatch):
    of = shadowing(deployment("best", 0.9), deployment("worst", 0.1))

    def broken(*args, **kwargs):
        raise RuntimeError("broken for the test")

    monkeypatch.setattr(shared.balancer, "record_shadow", broken)
    assert {await ask(of) for _ in range(40)} == {"best", "worst"}
    assert shared.counters.failures


async def test_an_unknown_base_strategy_stops_the_start():
    with pytest.raises(ValueError, match=r"base_strategy.*simple-shuffle.*'fastest'"):
        shadowing(deployment("a"), base="fastest")


async def test_a_routing_group_may_be_watched_beside_an_active_one(accounting):
    group = {"routing_strategy": "routebalance"}
    of = router(
        deployment("a", 0.9, group="x"),
        deployment("b", 0.1, group="x"),
        routing_strategy="simple-shuffle",
        routing_groups=[
            {"group_name": "watched", "models": ["x"], "routing_strategy_args": SHADOW, **group},
        ],
    )
    assert {await ask(of, model="watched") for _ in range(40)} == {"a", "b"}
    assert {record.would["deployment"] for record in records(accounting)} == {"a"}


async def served_or_refused(of, times):
    answers = []
    for _ in range(times):
        try:
            answers.append(await ask(of, messages=[{"role": "user", "content": "word " * 100}]))
        except Exception as error:  # noqa: BLE001
            answers.append(type(error).__name__)
        await asyncio.sleep(0.02)
    return answers


def refused(answers):
    return [answer for answer in answers if answer not in ("a", "b")]


@pytest.mark.parametrize("base", ["latency-based-routing", "usage-based-routing-v2"])
async def test_what_the_base_refuses_is_refused(shared, base):
    limited = [deployment(id, model="openai/gpt-4", rpm=3) for id in ("a", "b")]
    by_itself = refused(await served_or_refused(router(*limited, routing_strategy=base), 20))
    # LiteLLM lists one handler of a kind: the first Router's would shut out the second's.
    litellm.logging_callback_manager._reset_all_callbacks()
    watched = refused(await served_or_refused(shadowing(*limited, base=base), 20))
    assert set(watched) == set(by_itself)
    # Two minutes may share the requests.
    assert len(watched) >= 8
    await settled(shared)


def test_a_synchronous_request_that_the_base_refuses_is_refused(shared):
    # LiteLLM's strategy by cost has no synchronous pick: there is none left then.
    deployments, base = [deployment("a"), deployment("b")], "cost-based-routing"
    for of in (router(*deployments, routing_strategy=base), shadowing(*deployments, base=base)):
        with pytest.raises(Exception, match="No deployments available"):
            of.completion(model="auto", messages=HELLO)


async def test_weights_of_the_base_hold(shared):
    of = shadowing(deployment("drained", 0.9, weight=0), deployment("a", 0.1, weight=1))
    assert {await ask(of) for _ in range(20)} == {"a"}
