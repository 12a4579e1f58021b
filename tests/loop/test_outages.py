"""A server that refuses at once looks idle and quick: it gets next to nothing, and comes back."""

from rb_litellm.core.decision.scoring import PRESETS, JointScore
from tests.loop.world import Server, Traffic, World


def dead_for(start_s, end_s):
    return lambda now: start_s <= now < end_s


def test_a_server_that_refuses_at_once_gets_next_to_nothing():
    """11% of one worker's decisions."""
    a = Server("a", ttft_s=0.2, fails=dead_for(60.0, 240.0), fails_after_s=0.002)
    b = Server("b", ttft_s=0.4, tpot_s=0.015)
    world = World([a, b], Traffic(per_s=4.0)).run(330.0)
    assert world.share("a", 0.0, 60.0) > 0.4
    assert world.share("a", 62.0, 240.0) < 0.02
    assert world.share("a", 300.0, 330.0) > 0.4


def test_quality_does_not_bring_it_requests():
    a = Server("a", quality=0.9, fails=dead_for(30.0, 1e9), fails_after_s=0.002, model="hosted/large")
    b = Server("b", quality=0.3, ttft_s=1.0, model="hosted/small")
    world = World([a, b], Traffic(per_s=4.0), objective=JointScore(PRESETS["quality"])).run(150.0)
    assert world.share("a", 32.0, 150.0) < 0.03


def test_where_all_are_dead_requests_are_placed_all_the_same():
    servers = [Server(name, fails=dead_for(0.0, 60.0), fails_after_s=0.002) for name in "ab"]
    world = World(servers, Traffic(per_s=4.0)).run(120.0)
    assert all(s.server is not None for s in world.served)
    assert not any(s.failed for s in world.within(61.0, 110.0))
