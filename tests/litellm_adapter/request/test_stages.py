"""The calls of a request that is answered more than once: what their picks know of it, and go by."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from rb_litellm.config import parse_settings
from rb_litellm.controls import NOTHING, Given, Planner, parse_controls
from rb_litellm.litellm_adapter.request import stages
from rb_litellm.litellm_adapter.request.stages import (
    JudgesCall,
    SecondStage,
    during,
    further_at_pick,
    run_at_pick,
    run_of,
)

ASKED = {"messages": [{"role": "user", "content": "What is a balance?"}]}
ARRIVED = {**ASKED, "litellm_call_id": "one", "proxy_server_request": {}, "metadata": {"user": "u"}}


def second(call_id="two", spent_usd=0.0, started_s=0.0, group="large", effort=""):
    wanted = SimpleNamespace(group=group, effort=effort)
    return SecondStage(call_id, wanted, NOTHING, spent_usd, started_s)


def test_a_run_keeps_the_request_as_it_came():
    sent = {**ARRIVED, "metadata": {"user": "u"}, "extra_body": {"top_k": 5}}
    run = run_of(sent)
    sent["metadata"]["deployment"] = "first"
    sent["extra_body"]["max_tokens"] = 7
    assert run.kwargs["metadata"] == {"user": "u"}
    assert run.kwargs["extra_body"] == {"top_k": 5}


@pytest.mark.parametrize("missing", ["litellm_call_id", "proxy_server_request"])
def test_only_a_request_of_the_proxy_is_a_run(missing):
    assert run_of({name: value for name, value in ARRIVED.items() if name != missing}) is None


def test_a_pick_knows_of_its_own_run_alone_and_no_call_within_becomes_one():
    run = run_of(ARRIVED)
    assert run_at_pick("one") is None
    with during(run):
        assert run_at_pick("one") is run
        assert run_at_pick("a judge's") is None
        assert run_of({**ARRIVED, "litellm_call_id": "another"}) is None
    assert run_at_pick("one") is None


def test_the_second_pick_is_known_by_its_call_id():
    stage = second()
    with during(stage):
        assert further_at_pick({"litellm_call_id": "two"}) is stage
        assert further_at_pick({"litellm_call_id": "one"}) is None
        assert further_at_pick(None) is None


def test_the_second_stage_goes_to_the_model_and_level_that_were_priced():
    entries = [{"model_name": name} for name in ("small", "large", "large")]
    assert second().narrowed(entries) == entries[1:]
    with pytest.raises(LookupError, match="huge"):
        second(group="huge").narrowed(entries)
    levels = tuple(SimpleNamespace(effort=name) for name in ("low", "high"))
    assert second(effort="high").at_its_level(entries[1:], levels) == ([entries[2]], (levels[1],))
    assert second(effort="gone").at_its_level(entries[1:], levels) == (entries[1:], levels)


def test_it_has_what_the_first_has_left_of_budget_and_time(monkeypatch):
    monkeypatch.setattr(stages.time, "monotonic", lambda: 103.0)
    controls = parse_controls({"max_cost_usd": 0.01, "e2e_ms": 10_000}, "request")
    plan = Planner(parse_settings({}, "x")).plan(Given(request=controls))
    held = second(spent_usd=0.004, started_s=100.0).held_to(plan)
    assert held.max_cost_usd == pytest.approx(0.006)
    assert held.slo.e2e_s == pytest.approx(7.0)
    used_up = second(spent_usd=1.0, started_s=100.0).held_to(replace(plan, slo=None))
    assert 0.0 < used_up.max_cost_usd < 1e-9


def test_no_control_of_the_client_is_for_the_judges_call():
    stage = JudgesCall("verdict")
    with during(stage):
        assert further_at_pick({"litellm_call_id": "verdict"}) is stage
        assert run_at_pick("verdict") is None
        assert run_of({**ARRIVED, "litellm_call_id": "verdict"}) is None
    entries = [{"model_name": "judge"}]
    assert (stage.given, stage.narrowed(entries)) == (NOTHING, entries)
