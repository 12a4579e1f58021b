"""Each way in which a belief was once wrong and never corrected, as a world that once fell into it.

The figures in the docstrings are what happened before.
"""

import math
from functools import partial
from typing import Any

import pytest

from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.limits.slo import Slo
from tests.loop.world import Server, Traffic, World, between

MINUTE = 60.0


def test_slow_once_is_not_never_again():
    """4x slower for two minutes: 0 of 15,000 requests in the next 55 minutes."""
    # Grown loads would bring requests back by themselves; these have none.
    incident = between(2 * MINUTE, 4 * MINUTE, 4.0)
    a = Server("a", ttft_s=0.5, tpot_s=0.018, model="x/a", slower=incident)
    b = Server("b", ttft_s=0.5, tpot_s=0.022, model="x/b")
    world = World([a, b], Traffic(per_s=2.0)).run(16 * MINUTE)
    assert world.share("a", 0, 2 * MINUTE) > 0.6
    assert world.share("a", 2.5 * MINUTE, 4 * MINUTE) < 0.2
    assert world.share("a", 10 * MINUTE, 16 * MINUTE) > 0.6
    assert world.forecast_s("a", 100) == pytest.approx(world.true_s("a", 100), rel=0.25)


def test_a_cold_start_as_the_first_answer_is_lived_down():
    """One cold start of 20 s: 2 requests, then 0 of 3,514."""
    a = Server("a", ttft_s=0.3, tpot_s=0.010, model="x/a", cold_s=20.0)
    b = Server("b", ttft_s=0.5, tpot_s=0.020, model="x/b")
    world = World([a, b], Traffic(per_s=2.0)).run(10 * MINUTE)
    assert world.share("a", 5 * MINUTE, 10 * MINUTE) > 0.9


def test_an_incident_on_one_model_does_not_flatten_the_others_for_good():
    """Two minutes on one of three doubled everybody's mean E2E (3.5 -> 8.0 s) on models never touched."""
    incident = between(5 * MINUTE, 7 * MINUTE, 20.0)
    large = Server("large", 0.8, 0.030, 0.60, 3.0, "x/large", slower=incident)
    middle = Server("middle", 0.6, 0.080, 0.70, 2.9, "x/middle")
    small = Server("small", 0.4, 0.020, 0.50, 2.8, "x/small")
    quiet = World([Server("large", 0.8, 0.03, 0.6, 3.0, "x/large"), middle, small], seed=3).run(5 * MINUTE)
    usual = quiet.mean_e2e_s(2 * MINUTE, 5 * MINUTE)
    world = World([large, middle, small], seed=3).run(15 * MINUTE)
    assert world.mean_e2e_s(10 * MINUTE, 15 * MINUTE) < 1.1 * usual
    # Not even while the forecast is as wrong as it gets.
    its = [s for s in world.within(7 * MINUTE, 8 * MINUTE) if s.server != "large"]
    assert sum(s.server == "middle" for s in its) < 0.2 * len(its)


def test_nearly_equals_share():
    """10% slower: 0 of 6,000 requests."""
    a, b = Server("a", tpot_s=0.020), Server("b", ttft_s=0.33, tpot_s=0.022)
    world = World([a, b], Traffic(per_s=3.0)).run(10 * MINUTE)
    assert 0.05 < world.share("b", 2 * MINUTE, 10 * MINUTE) < 0.5


def test_a_quota_is_used_before_another_binds():
    """All 429s came from the quicker one, whose equal's quota was never used."""
    a = Server("a", tpot_s=0.020, per_minute=90)
    b = Server("b", ttft_s=0.40, tpot_s=0.027, per_minute=90)
    world = World([a, b], Traffic(per_s=2.0)).run(20 * MINUTE)
    late = world.within(10 * MINUTE, 20 * MINUTE)
    assert sum(s.failed for s in late) < 0.02 * len(late)
    assert world.share("b", 10 * MINUTE, 20 * MINUTE) > 0.2


def test_answers_longer_than_their_lease_teach():
    """60 s predicted at 3.5 s for ever, 30% of traffic."""
    slow = Server("slow", ttft_s=1.0, tpot_s=0.59, model="x/thinks", quality=0.7)
    quick = Server("quick", ttft_s=1.0, tpot_s=0.03, model="x/quick", quality=0.6)
    world = World([slow, quick], Traffic(per_s=1.0, streams=0.0)).run(15 * MINUTE)
    # Nobody measures it now, so the belief goes back towards its habit, and a trial corrects it again.
    assert world.forecast_s("slow", 100) > 20.0
    assert world.share("slow", 8 * MINUTE, 15 * MINUTE) < 0.06


def test_a_strict_limit_finds_a_way_out_of_the_cold():
    """`e2e_ms` 5,000 strict, true 1.1 s: 3,578 of 3,578 refused in 30 minutes, no `Retry-After`."""
    limits = Limits(Slo(e2e_s=5.0, mode="strict"))
    a = Server("a", ttft_s=0.3, tpot_s=0.008, model="x/a")
    world = World([a], Traffic(per_s=2.0, told=False), limits=limits).run(10 * MINUTE)
    late = world.within(5 * MINUTE, 10 * MINUTE)
    assert sum(s.server is None for s in late) < 0.05 * len(late)
    refused = [s for s in world.served if s.server is None]
    assert all(s.retry_after_s is not None for s in refused)


def test_the_same_limit_holds_again_after_an_incident():
    """Two minutes of 6x slowness, then healthy: 15,027 of 15,027 refused in the next 50 minutes."""
    limits = Limits(Slo(e2e_s=5.0, mode="strict"))
    a = Server("a", ttft_s=0.3, tpot_s=0.012, model="x/a", slower=between(5 * MINUTE, 7 * MINUTE, 6.0))
    world = World([a], Traffic(per_s=2.0), limits=limits).run(20 * MINUTE)
    before = world.within(2 * MINUTE, 5 * MINUTE)
    assert sum(s.server is None for s in before) < 0.05 * len(before)
    late = world.within(12 * MINUTE, 20 * MINUTE)
    assert sum(s.server is None for s in late) < 0.05 * len(late)


def test_answers_in_one_piece_tell_ttft_and_pace_apart():
    """True 2 s + 10 ms a token: 1,000 tokens forecast 62.7 s (true 12), 436 of 445 long requests wrong."""
    a = Server("a", ttft_s=2.0, tpot_s=0.010, model="x/a")
    world = World([a], Traffic(per_s=1.0, tokens=(10, 150), streams=0.0)).run(8 * MINUTE)
    assert world.forecast_s("a", 1000) == pytest.approx(12.0, rel=0.25)
    assert world.forecast_s("a", 2) == pytest.approx(2.0, rel=0.25)


def test_who_accepts_and_never_answers_is_left_alone():
    """Kept 4 to 8% of traffic without end."""
    a = Server("a", ttft_s=0.3, tpot_s=0.010, model="x/a", hangs=lambda now: now > 2 * MINUTE)
    b = Server("b", ttft_s=0.3, tpot_s=0.012, model="x/b")
    world = World([a, b], Traffic(per_s=4.0)).run(12 * MINUTE)
    assert world.share("a", 6 * MINUTE, 12 * MINUTE) < 0.01


def test_who_answered_nothing_comes_back():
    """Failures must not be held against a deployment for ever either."""
    a = Server("a", ttft_s=0.3, tpot_s=0.010, model="x/a", hangs=lambda now: 60.0 < now < 240.0)
    b = Server("b", ttft_s=0.3, tpot_s=0.020, model="x/b")
    world = World([a, b], Traffic(per_s=2.0)).run(18 * MINUTE)
    assert world.share("a", 14 * MINUTE, 18 * MINUTE) > 0.8


def test_an_edited_deployment_is_another():
    """72B replaced by 3B under its old id: 12.4 s instead of 1.6 for ever."""
    a = Server("a", ttft_s=0.5, tpot_s=0.12, model="hosted_vllm/q-72b", hosted=False)
    world = World([a], Traffic(per_s=1.0)).run(5 * MINUTE)
    assert world.forecast_s("a", 100) == pytest.approx(12.4, rel=0.2)
    a.ttft_s, a.tpot_s, a.model = 0.1, 0.015, "hosted_vllm/q-3b"
    world.deployments = (a.deployment(output_tokens=100.0),)
    assert world.forecast_s("a", 100) < 2.5
    world.run(6 * MINUTE)
    assert world.forecast_s("a", 100) == pytest.approx(1.6, rel=0.25)


QUICK = {"ttft_s": 0.1, "tpot_s": 0.015, "model": "hosted_vllm/q-3b"}
SLOW = {"ttft_s": 0.5, "tpot_s": 0.12, "model": "hosted_vllm/q-72b"}


def becomes(world: World, figures: dict[str, Any]) -> None:
    """The only server is of another model from now on."""
    (its,) = world.servers.values()
    for name, figure in figures.items():
        setattr(its, name, figure)
    world.deployments = (its.deployment(output_tokens=100.0),)


def test_models_behind_one_wildcard_are_learned_apart():
    """The later one learned from both, the first one nothing; and what was under way was thrown away."""
    world = World([Server("a", hosted=False, **QUICK)], Traffic(per_s=1.0))
    for second in range(0, 600, 4):
        world.at(float(second), partial(becomes, world, SLOW if second % 8 else QUICK))
    world.run(10 * MINUTE)
    for figures in (QUICK, SLOW):
        becomes(world, figures)
        assert world.forecast_s("a", 100) == pytest.approx(world.true_s("a", 100), rel=0.25)


def test_one_long_stream_says_nothing_against_a_healthy_server():
    """One answer of 7,000 tokens: 8 of 8 other requests left that server for its whole length."""
    a = Server("a", ttft_s=0.1, tpot_s=0.010, model="hosted_vllm/a-3b", hosted=False)
    b = Server("b", ttft_s=0.1, tpot_s=0.020, model="hosted_vllm/b-3b", hosted=False)
    world = World([a, b], Traffic(per_s=0.2)).run(10 * MINUTE)
    world.at(world.now, lambda: world.send(7000))
    world.run(world.now + 60.0)
    long = next(s for s in world.served if s.tokens == 7000)
    assert long.server == "a"
    during = [s for s in world.within(long.at_s + 10.0, long.at_s + 60.0) if s.tokens < 7000]
    assert len(during) > 3
    assert sum(s.server == "a" for s in during) > 0.7 * len(during)
    assert float(world.ledger.overdue(world.now)[world.index.row("a")]) < 1.2


def test_a_candidate_that_a_limit_removed_does_not_scale_the_others():
    """A strict limit that throws the slow one out left the choice flattened by it."""
    from rb_litellm.core.decision.scoring import PRESETS, JointScore

    limits = Limits(Slo(e2e_s=8.0, mode="strict", theta=0.5))
    for norm in ("absolute", "paper"):
        quick = Server("quick", 0.2, 0.010, 0.50, 1.0, "x/quick")
        good = Server("good", 0.2, 0.040, 0.60, 1.0, "x/good")
        slow = Server("slow", 0.2, 1.000, 0.90, 1.0, "x/slow")
        objective = JointScore(PRESETS["balanced"], norm=norm)
        world = World([quick, good], limits=limits, objective=objective).run(4 * MINUTE)
        without = world.share("quick", 3 * MINUTE, 4 * MINUTE)
        world = World([quick, good, slow], limits=limits, objective=objective).run(8 * MINUTE)
        assert world.share("quick", 6 * MINUTE, 8 * MINUTE) == pytest.approx(without, abs=0.05)
        assert not math.isnan(world.mean_e2e_s(6 * MINUTE, 8 * MINUTE))


def test_what_was_slow_from_its_first_day_is_found_out_to_be_quick():
    """A random world's: the slow level was the habit, and nothing so slow was ever tried again."""
    a = Server("a", ttft_s=0.6, tpot_s=0.020, model="x/a", slower=between(0.0, 3 * MINUTE, 18.0))
    b = Server("b", ttft_s=0.5, tpot_s=0.028, model="x/b")
    world = World([a, b], Traffic(per_s=1.0)).run(20 * MINUTE)
    assert world.share("a", 16 * MINUTE, 20 * MINUTE) > 0.8


def test_where_all_hung_the_first_answers_tell_them_apart():
    """A random world's: what the first answers corrected was the shape of their tiers, for ten minutes."""

    def hangs(now):
        return 1.0 <= now < 3 * MINUTE

    a = Server("a", 0.80, 0.027, 0.65, 0.9, "x/a", False, growth=1 / 256, hangs=hangs)
    b = Server("b", 0.45, 0.020, 0.80, 1.6, "x/b", False, growth=1 / 256, hangs=hangs)
    traffic = Traffic(per_s=1.0, tokens=(60, 140), streams=0.7, timeout_s=30.0)
    world = World([a, b], traffic).run(15 * MINUTE)
    assert world.share("b", 10 * MINUTE, 15 * MINUTE) > 0.9
    assert world.forecast_s("b", 100) == pytest.approx(world.true_s("b", 100), rel=0.15)
