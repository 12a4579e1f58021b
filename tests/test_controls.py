"""Controls by level: the most specific wins, within what the operator leaves open."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.config import ControlName, SettingsError, parse_settings
from rb_litellm.controls import NAMES, NOTHING, Controls, Given, LevelControls, Planner, parse_controls
from rb_litellm.core.decision.scoring import PRESETS, JointScore, Priced, Weights
from rb_litellm.core.targets.stated import Targets


def planner(**args):
    return Planner(parse_settings(args, "routing_strategy_args"))


def controls(**raw):
    return parse_controls(raw, "x-routebalance-")


def level(**raw):
    parsed = parse_controls(raw, "key metadata.routebalance", LevelControls)
    assert isinstance(parsed, LevelControls)
    return parsed


def test_a_request_that_asks_nothing_is_decided_by_the_settings():
    plan = planner(weights="cost").plan(NOTHING)
    assert plan.objective == JointScore(PRESETS["cost"])
    assert plan.slo is None
    assert plan.max_cost_usd is None
    assert plan.sources == {}


def test_the_most_specific_level_wins():
    given = Given(level(weights="latency"), level(weights="quality"), None)
    plan = planner(weights="cost").plan(given)
    assert plan.objective == JointScore(PRESETS["quality"])
    assert plan.sources == {"weights": "key"}
    asked = Given(given.team, given.key, controls(weights="0.2,0.3,0.5"))
    assert planner(weights="cost").plan(asked).objective == JointScore(Weights(0.2, 0.3, 0.5))


def test_levels_that_set_different_things_add_up():
    plan = planner(slo={"tpot_ms": 50, "theta": 0.8}).plan(
        Given(level(e2e_ms=4000), level(quality_min=0.4), controls(ttft_ms=300, slo_mode="strict"))
    )
    assert plan.slo is not None
    assert (plan.slo.tpot_s, plan.slo.e2e_s, plan.slo.quality_min, plan.slo.ttft_s) == (0.05, 4.0, 0.4, 0.3)
    assert (plan.slo.theta, plan.slo.mode) == (0.8, "strict")


def test_a_budget_is_a_limit_on_the_expected_cost_too():
    plan = planner().plan(Given(request=controls(max_cost_usd=0.01)))
    assert plan.max_cost_usd == 0.01
    assert plan.slo is not None
    assert plan.slo.max_cost_usd == 0.01


def test_prices_make_another_objective():
    plan = planner(prices={"usd_per_second": 0.5}).plan(
        Given(request=controls(objective="priced", usd_per_quality=2.0))
    )
    assert plan.objective == Priced(2.0, 0.5)


def test_what_a_request_may_not_set_is_left_out_and_listed():
    strict = planner(overrides={"request": ["ttft_ms"]})
    plan = strict.plan(Given(request=controls(weights="quality", ttft_ms=300)))
    assert plan.objective == JointScore(PRESETS["standard"])
    assert plan.slo is not None
    assert plan.refused == ("weights: a request may not set it (value 0.66,0.17,0.17); it may set ttft_ms",)


def test_what_a_key_fixes_no_request_changes():
    plan = planner().plan(
        Given(key=level(max_cost_usd=0.01, fixed=["max_cost_usd"]), request=controls(max_cost_usd=5))
    )
    assert plan.max_cost_usd == 0.01
    assert plan.refused == ("max_cost_usd: fixed by the key (value 5.0)",)


def test_what_a_team_fixes_no_key_changes():
    plan = planner().plan(
        Given(team=level(weights="cost", fixed="all"), key=level(weights="quality", theta=0.5))
    )
    assert plan.objective == JointScore(PRESETS["cost"])
    assert len(plan.refused) == 2


@pytest.mark.parametrize(
    ("caps", "asked", "said"),
    [
        ({"max_cost_usd": {"max": 0.5}}, {"max_cost_usd": 0.6}, "max_cost_usd: must be at most 0.5"),
        ({"ttft_ms": {"min": 200}}, {"ttft_ms": 100}, "ttft_ms: must be at least 200"),
        ({"weights.quality": {"max": 0.5}}, {"weights": "quality"}, "weights.quality: must be at most 0.5"),
    ],
)
def test_a_request_is_held_within_caps(caps, asked, said):
    plan = planner(overrides={"caps": caps}).plan(Given(request=controls(**asked)))
    assert said in plan.refused[0]


def test_an_ignored_number_beyond_its_cap_becomes_the_cap():
    plan = planner(overrides={"refused": "ignore", "caps": {"max_cost_usd": {"max": 0.5}}}).plan(
        Given(request=controls(max_cost_usd=0.6))
    )
    assert plan.max_cost_usd == 0.5


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"weights": "fastest"}, "x-routebalance-weights: unknown preset 'fastest'; allowed are balanced"),
        ({"weights": "0.5,0.5"}, "three numbers"),
        ({"weights": "a,b,c"}, "weights.quality is 'a'"),
        ({"weights": "0.5,0.5,0.5"}, "must sum to 1"),
        ({"ttft_ms": "soon"}, "x-routebalance-ttft-ms: allowed is a number (value 'soon')"),
        ({"ttft_ms": "-1"}, "x-routebalance-ttft-ms: allowed is a number above 0 (value '-1')"),
        ({"ttft_ms": "1e9"}, "allowed is a number of at most 86400000 (value '1e9')"),
        ({"theta": "nan"}, "x-routebalance-theta: allowed is a finite number"),
        ({"max_cost_usd": "1e9"}, "x-routebalance-max-cost-usd"),
        ({"slo_mode": "lax"}, "'strict', 'tiered' or 'prefer'"),
        ({"colour": "red"}, "x-routebalance-colour: unknown setting (value 'red'); allowed are weights"),
        ({"usd_per_qualty": "1"}, "usd-per-quality, "),
        ("quality", "x-routebalance"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(raw, said):
    with pytest.raises(SettingsError) as error:
        parse_controls(raw, "x-routebalance-")
    assert said in str(error.value)


def test_what_no_request_may_set_is_not_proposed_to_it():
    with pytest.raises(SettingsError) as error:
        controls(target="x")
    assert "targets" not in str(error.value)
    assert "usd-per-day" not in str(error.value)
    with pytest.raises(SettingsError, match="did you mean targets"):
        level(target={})


def test_targets_of_a_request_are_refused_as_they_were_given():
    plan = planner().plan(Given(None, None, controls(targets={"cost_usd_per_1k": 1})))
    assert plan.refused == (
        "targets: a request may not set it (value {'cost_usd_per_1k': 1.0}); its key or team may",
    )


def test_names_of_controls_and_of_the_settings_about_them_agree():
    assert set(NAMES) == set(Controls.model_fields)


def test_plans_are_bounded(monkeypatch):
    from rb_litellm import controls as module

    monkeypatch.setattr(module, "MAX_PLANS", 3)
    one = planner()
    for n in range(1, 20):
        one.plan(Given(request=controls(ttft_ms=n)))
    assert len(one._plans) <= 3


values = st.fixed_dictionaries(
    {},
    optional={
        "weights": st.sampled_from(["quality", "cost", "0.2,0.3,0.5"]),
        "ttft_ms": st.floats(1, 1e5),
        "quality_min": st.floats(0, 1),
        "theta": st.floats(0.01, 0.99),
        "max_cost_usd": st.floats(1e-6, 1e3),
        "slo_mode": st.sampled_from(["strict", "tiered", "prefer"]),
    },
)
names = st.lists(st.sampled_from(NAMES), unique=True)
reactions = st.sampled_from(["reject", "ignore"])


@settings(max_examples=200)
@given(
    team=values,
    key=values,
    request=values,
    fixed=names,
    may=names,
    refused=st.sampled_from(["reject", "ignore"]),
)
def test_no_request_changes_what_an_operator_fixed(team, key, request, fixed, may, refused):
    operator = planner(overrides={"request": may, "refused": refused})
    without = Given(level(**team), level(**key, fixed=fixed))
    before = operator.plan(without)
    after = operator.plan(Given(without.team, without.key, controls(**request)))
    changed = {name for name, source in after.sources.items() if source == "request"}
    open_to_it: set[ControlName] = set(may) - set(fixed)
    assert changed <= open_to_it
    if not changed:
        assert (after.objective, after.slo, after.max_cost_usd) == (
            before.objective,
            before.slo,
            before.max_cost_usd,
        )
    assert {message.split(":")[0] for message in after.refused} == set(request) - open_to_it


CAPPED = {
    "overrides": {"caps": {"max_cost_usd": {"max": 0.05}, "quality_min": {"max": 0.5}}},
    "max_cost_usd": 0.01,
}


@pytest.mark.parametrize("at", ["team", "key"])
def test_the_operators_bounds_bind_teams_and_keys(at):
    plan = planner(**CAPPED).plan(Given(**{at: level(max_cost_usd=1000.0, quality_min=0.9)}))
    assert plan.max_cost_usd == 0.05
    assert plan.slo.quality_min == 0.5
    assert plan.refused == ()
    assert len(plan.bounded) == 2


def test_what_a_team_bounds_no_key_and_no_request_raises():
    team = level(max_cost_usd=0.01, caps={"max_cost_usd": {"max": 0.02}})
    for asked in (Given(team, level(max_cost_usd=5.0)), Given(team, None, controls(max_cost_usd=5.0))):
        assert planner().plan(asked).max_cost_usd == 0.02
    assert planner().plan(Given(team, level(max_cost_usd=0.005))).max_cost_usd == 0.005
    widened = Given(team, level(max_cost_usd=9.0, caps={"max_cost_usd": {"max": 10.0}}))
    assert planner().plan(widened).max_cost_usd == 0.02


def test_weights_of_a_key_beyond_a_bound_do_not_count():
    args = {"weights": "cost", "overrides": {"caps": {"weights.quality": {"max": 0.5}}}}
    plan = planner(**args).plan(Given(key=level(weights="quality")))
    assert plan.objective == JointScore(PRESETS["cost"])


ADMISSION = {
    "max_wait_s": 10.0,
    "by_priority": [{"priority": 0, "max_wait_s": 60.0}, {"priority": 5, "max_wait_s": 1.0}],
}


def test_a_request_may_lower_its_priority_and_not_raise_it():
    by = planner(admission=ADMISSION)
    assert by.plan(Given(request=controls(priority=7))).priority == 7
    raised = by.plan(Given(request=controls(priority=0)))
    assert (raised.priority, len(raised.refused)) == (None, 1)
    of_key = by.plan(Given(key=level(priority=5), request=controls(priority=0)))
    assert (of_key.priority, len(of_key.refused)) == (5, 1)
    assert by.plan(Given(key=level(priority=0), request=controls(priority=3))).priority == 3


def test_the_operator_may_let_requests_raise_it_within_bounds():
    by = planner(admission=ADMISSION, overrides={"request": ["priority"], "caps": {"priority": {"min": 2}}})
    assert by.plan(Given(request=controls(priority=2))).refused == ()
    assert by.plan(Given(request=controls(priority=0))).priority == 2
    assert by.plan(Given(request=controls(priority=0))).refused != ()


def test_a_key_may_fix_its_priority():
    plan = planner(admission=ADMISSION).plan(
        Given(key=level(priority=5, fixed=["priority"]), request=controls(priority=9))
    )
    assert (plan.priority, len(plan.refused)) == (5, 1)


_LIMITS = st.fixed_dictionaries(
    {}, optional={"max_cost_usd": st.floats(1e-6, 1e5), "quality_min": st.floats(0, 1)}
)


@settings(max_examples=200)
@given(
    team=_LIMITS,
    key=_LIMITS,
    request=_LIMITS,
    cap=st.floats(1e-6, 1e3),
    refused=st.sampled_from(["reject", "ignore"]),
)
def test_no_budget_is_weaker_than_the_operators(team, key, request, cap, refused):
    by = planner(max_cost_usd=cap / 2, overrides={"refused": refused, "caps": {"max_cost_usd": {"max": cap}}})
    plan = by.plan(Given(level(**team), level(**key), controls(**request)))
    assert plan.max_cost_usd is not None
    assert plan.max_cost_usd <= cap


BOUNDS = {"cost_usd_per_1k": 0.02, "e2e_p95_s": 4}


def test_targets_go_by_the_most_specific_level_and_weights_at_a_more_specific_one_go_before():
    one = planner(targets=BOUNDS)
    assert one.default.targets == Targets(0.02, 4.0)
    of_key = one.plan(Given(key=level(targets={"quality_min": 0.5, "maximise": "saving"})))
    assert of_key.targets == Targets(quality_min=0.5, maximise="saving")
    assert of_key.sources["targets"] == "key"
    assert one.plan(Given(request=controls(weights="cost"))).targets is None
    both = level(targets=BOUNDS, weights="cost")
    assert planner().plan(Given(key=both)).targets == Targets(0.02, 4.0)


def test_a_request_sets_no_targets_and_no_weights_against_fixed_ones():
    said = planner().plan(Given(request=controls(targets=BOUNDS))).refused
    assert "its key or team may" in said[0]
    held = Given(key=level(targets=BOUNDS, fixed=["targets"]), request=controls(weights="quality"))
    plan = planner().plan(held)
    assert plan.targets is not None
    assert plan.refused[0].startswith("weights: targets are fixed by the key")


def test_targets_pass_no_bound_of_the_operator():
    capped = planner(overrides={"caps": {"targets.cost_usd_per_1k": {"max": 0.01}}})
    plan = capped.plan(Given(key=level(targets=BOUNDS)))
    assert plan.targets is None
    assert "targets.cost_usd_per_1k: must be at most 0.01 here" in plan.bounded[0]
    weighed = planner(overrides={"caps": {"weights.quality": {"max": 0.5}}})
    assert weighed.plan(Given(key=level(targets=BOUNDS))).targets is None
    fixed = Given(level(weights="cost", fixed=["weights"]), level(targets=BOUNDS))
    assert planner().plan(fixed).targets is None


@pytest.mark.parametrize(
    "wrong", [{}, {"maximise": "speed"}, {"cost_usd_per_1k": 0}, {"quality_min": 2}, {"cost": 1}]
)
def test_targets_without_sense_are_named(wrong):
    with pytest.raises(SettingsError, match="targets"):
        parse_settings({"targets": wrong}, "router_settings.routing_strategy_args")


@settings(max_examples=100)
@given(team=values, key=values, request=values)
def test_without_targets_a_plan_is_what_it_would_be_if_there_were_none(team, key, request):
    plan = planner().plan(Given(level(**team), level(**key), controls(**request)))
    assert plan.targets is None
    assert isinstance(plan.objective, JointScore | Priced)


@pytest.mark.parametrize("name", ["cascade", "best_of"])
def test_a_request_may_ask_for_more_answers_or_against_them_where_the_settings_have_any(name):
    on = {name: {"judge": {"model": "judge"}}}
    off = {name: {"judge": {"model": "judge"}, "default": "never"}}
    for args, asked, found in (
        ({}, None, False), ({}, "allow", False), (on, None, True), (on, "never", False), (off, None, False),
        (off, "allow", True),
    ):  # fmt: skip
        given = Given(request=Controls(**{name: asked}))
        assert getattr(Planner(parse_settings(args, "x")).plan(given), name) is found


def test_a_key_may_fix_that_nothing_is_answered_twice():
    key = LevelControls(cascade="never", fixed=("cascade",))
    plan = planner(cascade={"judge": {"model": "judge"}}).plan(
        Given(key=key, request=Controls(cascade="allow"))
    )
    assert not plan.cascade
    assert plan.refused == ("cascade: fixed by the key (value 'allow')",)
