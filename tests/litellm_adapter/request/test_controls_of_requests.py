"""Controls are taken out of a request, checked, and reach the pick of that request only."""

import asyncio
import contextvars
from types import SimpleNamespace

import pytest

from rb_litellm.config import parse_settings
from rb_litellm.controls import NOTHING, Controls, Planner
from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.litellm_adapter.request.rights.controls import BadControls, given_to, take_in


def caller(key=None, team=None):
    return SimpleNamespace(
        metadata={"routebalance": key} if key else {}, team_metadata=team and {"routebalance": team}
    )


def planner(**args):
    return lambda: Planner(parse_settings(args, "routing_strategy_args"))


def taken(data, who=None, by=None):
    """The controls that the request's pick sees, in a context of its own."""

    def run():
        take_in(data, who or caller(), by or planner())
        return given_to(data)

    return contextvars.copy_context().run(run)


def with_headers(**headers):
    return {
        "litellm_call_id": "c",
        "proxy_server_request": {
            "headers": {f"x-routebalance-{k.replace('_', '-')}": v for k, v in headers.items()}
        },
    }


def test_headers_are_read():
    given = taken(with_headers(ttft_ms="300", weights="quality"))
    assert given.request is not None
    assert given.request.ttft_ms == 300.0
    assert given.request.weights == PRESETS["quality"]


@pytest.mark.parametrize(
    "place",
    [
        {"routebalance": {"ttft_ms": 300}},
        {"metadata": {"routebalance": {"ttft_ms": 300}, "user_id": "u"}},
        {"litellm_metadata": {"routebalance": {"ttft_ms": 300}}},
        {"extra_body": {"routebalance": {"ttft_ms": 300}, "top_k": 5}},
    ],
)
def test_each_place_of_a_body_is_read_and_cleaned(place):
    data = {"litellm_call_id": "c", **place}
    given = taken(data)
    assert given.request is not None
    assert given.request.ttft_ms == 300.0
    assert "'routebalance'" not in repr(data)


def test_a_copy_of_the_metadata_is_cleaned_too():
    data = {
        "litellm_call_id": "c",
        "metadata": {
            "routebalance": {"ttft_ms": 300},
            "requester_metadata": {"routebalance": {"ttft_ms": 300}, "mine": 1},
        },
    }
    taken(data)
    assert data["metadata"] == {"requester_metadata": {"mine": 1}}


def test_headers_that_would_be_forwarded_are_taken_out():
    data = {**with_headers(ttft_ms="300"), "headers": {"x-routebalance-ttft-ms": "300", "x-other": "1"}}
    taken(data)
    assert data["headers"] == {"x-other": "1"}


def test_a_header_outranks_the_body():
    data = {**with_headers(ttft_ms="300"), "routebalance": {"ttft_ms": 500, "tpot_ms": 20}}
    given = taken(data)
    assert given.request is not None
    assert (given.request.ttft_ms, given.request.tpot_ms) == (300.0, 20.0)


def test_key_and_team_are_levels_of_their_own():
    given = taken({"litellm_call_id": "c"}, caller(key={"theta": 0.8}, team={"weights": "cost"}))
    assert given.request is None
    assert given.key is not None
    assert given.key.theta == 0.8
    assert given.team is not None


@pytest.mark.parametrize("wrong", [{"ttft_ms": "soon"}, {"colour": "red"}, "quality", ["weights"]])
def test_a_wrong_body_is_refused_by_400(wrong):
    with pytest.raises(BadControls, match="routebalance") as error:
        taken({"routebalance": wrong})
    assert error.value.status == 400


def test_a_wrong_key_is_not_read_over():
    with pytest.raises(BadControls, match=r"key metadata\.routebalance\.max_cost_usd"):
        taken({}, caller(key={"max_cost_usd": "cheap"}))


def test_what_may_not_be_set_is_refused_by_403():
    with pytest.raises(BadControls, match="weights: a request may not set it") as error:
        taken(with_headers(weights="quality"), by=planner(overrides={"request": []}))
    assert error.value.status == 403


def test_or_ignored_where_the_operator_says_so():
    ignoring = planner(overrides={"request": [], "refused": "ignore"})
    given = taken(with_headers(weights="quality"), by=ignoring)
    assert ignoring().plan(given).objective == ignoring().default.objective


def test_another_call_made_on_behalf_of_the_request_does_not_inherit_them():
    def run():
        take_in(with_headers(max_cost_usd="0.001"), caller(), planner())
        return given_to({"litellm_call_id": "guardrail"})

    assert contextvars.copy_context().run(run) is NOTHING


async def test_requests_at_the_same_time_keep_their_own():
    async def request(number):
        data = {**with_headers(ttft_ms=str(number)), "litellm_call_id": f"c{number}"}
        take_in(data, caller(), planner())
        await asyncio.sleep(0)
        # LiteLLM makes the call in a task of its own.
        given = await asyncio.create_task(_in_task(data))
        assert given.request is not None
        return given.request.ttft_ms

    assert await asyncio.gather(*(request(n) for n in range(1, 20))) == list(range(1, 20))


async def _in_task(data):
    return given_to(data)


def test_without_a_proxy_they_are_read_at_the_pick():
    given = given_to({"metadata": {"routebalance": {"weights": "cost"}}})
    assert given.request is not None
    assert given.request.weights == PRESETS["cost"]


def test_and_wrong_ones_are_left_out():
    assert given_to({"metadata": {"routebalance": {"weights": "greenest"}}}) is NOTHING


def test_what_a_key_fixed_holds_where_no_hook_was_called():
    given = given_to(
        {"litellm_metadata": {"user_api_key_auth": caller(key={"max_cost_usd": 0.1, "fixed": "all"})}}
    )
    assert given.key is not None
    assert given.key.max_cost_usd == 0.1


def test_the_priority_is_known_at_the_pick_though_litellms_scheduler_takes_it_out():
    data = {"priority": 3, "litellm_call_id": "c1"}
    assert taken(data).request.priority == 3
    assert data["priority"] == 3

    def at_the_pick():
        take_in({"priority": 3, "litellm_call_id": "c1"}, None, lambda: None)
        return [given_to({"litellm_call_id": "c1"}), given_to({"litellm_call_id": "c2", "priority": 5})]

    own, of_another = contextvars.copy_context().run(at_the_pick)
    assert (own.request.priority, of_another.request.priority) == (3, 5)


@pytest.mark.parametrize(("sent", "seen"), [(-1, 0), (10**40, 1_000_000)])
def test_a_priority_beyond_all_is_the_nearest_that_there_is(sent, seen):
    assert taken({"priority": sent, "litellm_call_id": "c"}).request.priority == seen


HUGE = 10**400
DEEP = [1]
for _ in range(3000):
    DEEP = [DEEP]
HOSTILE = [True, HUGE, -HUGE, 10**5000, "1" * 400, "nan", "inf", DEEP, {"a": DEEP}, "x" * 10**6]


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", sorted(Controls.model_fields))
def test_a_hostile_value_is_refused_in_few_words(name, value):
    with pytest.raises(BadControls) as refused:
        taken({"routebalance": {name: value}, "litellm_call_id": "c"})
    assert refused.value.status == 400
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("part", ["quality", "latency", "cost"])
def test_so_is_one_within_weights(part):
    weights = {"quality": 0.2, "latency": 0.3, "cost": 0.5, part: HUGE}
    with pytest.raises(BadControls):
        taken({"routebalance": {"weights": weights}, "litellm_call_id": "c"})
