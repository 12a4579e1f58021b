"""What one worker learned, a new one starts from."""

from threading import RLock

import pytest

from rb_litellm.core.latency.learning.learned import LearnedTimes
from rb_litellm.litellm_adapter.shared.exchange.learned_share import GuardedLearned
from tests.loop.world import Server, Traffic, World
from tests.memory_store import MemoryStore

MINUTE = 60.0


def servers():
    return [
        Server("a", ttft_s=1.5, tpot_s=0.040, model="x/a", quality=0.65),
        Server("b", ttft_s=0.2, tpot_s=0.008, model="x/b"),
    ]


def share_of(world, wall):
    return GuardedLearned(world.balancer.beliefs, RLock(), lambda: world.now, lambda: world.now + wall)


async def exchange(store, share):
    share.hear(await store.share_learned(share.tell(), 3600.0))


async def test_a_new_worker_forecasts_as_the_one_before_it():
    store = MemoryStore(lambda: 0.0)
    old = World(servers()).run(5 * MINUTE)
    await exchange(store, share_of(old, 1000.0))
    new = World(servers(), seed=1)
    fresh = new.forecast_s("a", 100)
    new = World(servers(), seed=1)
    # It starts when the other one has ended, with a clock of its own.
    await exchange(store, share_of(new, 1000.0 + 5 * MINUTE))
    for name in "ab":
        assert new.forecast_s(name, 100) == pytest.approx(old.forecast_s(name, 100), rel=0.05)
    assert fresh != pytest.approx(old.forecast_s("a", 100), rel=0.2)


async def test_what_another_worker_measures_is_heard_of_and_not_told_again_as_ones_own():
    store = MemoryStore(lambda: 0.0)
    one, other = World(servers()).run(5 * MINUTE), World(servers(), Traffic(per_s=1e-6)).run(5 * MINUTE)
    mine, its = share_of(one, 0.0), share_of(other, 0.0)
    await exchange(store, mine)
    await exchange(store, its)
    assert other.forecast_s("b", 100) == pytest.approx(one.forecast_s("b", 100), rel=0.05)
    assert its.tell() == {}


async def test_an_edited_deployment_takes_over_nothing():
    store = MemoryStore(lambda: 0.0)
    old = World(servers()).run(5 * MINUTE)
    await exchange(store, share_of(old, 0.0))
    edited = servers()
    edited[0].model = "x/another"
    new = World(edited).run(0.0)
    before = new.forecast_s("a", 100)
    await exchange(store, share_of(new, 0.0))
    assert new.forecast_s("a", 100) == before


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[1]", b"[1,1,1,1,1,1,1,1,1,1,1]", b"[3,1,1,1,1,1,1,1,1,1,1]",
                b"[2,0,0,0,0,0,0,0,0,0,0]", b"x" * 10_000,
                b'[2,1,0,1,0,0,1,1,0,5,"NaN"]', b"[2,-1,0,1,0,0,1,1,0,5,0]"],
)  # fmt: skip
def test_what_cannot_be_read_is_passed_over(payload):
    assert LearnedTimes.decoded(payload) is None


def test_what_is_told_is_small_and_comes_back_as_it_was():
    times = LearnedTimes(0.01234567, 0.0001, 0.5, 0.0, 0.0, 0.0123, 0.51, 16.0, 0.25, 345, 1_700_000_000.1)
    assert len(times.encoded()) < 200
    assert LearnedTimes.decoded(times.encoded()) == pytest.approx(times, rel=1e-5)


def test_what_a_worker_of_the_release_before_has_learned_is_read():
    told = b"[2,0.01,0.0001,0.5,0,0,0.01,0.5,16,345,1700000000.1]"
    found = LearnedTimes.decoded(told)
    assert found is not None
    assert (found.tpot_s, found.slots, found.prefill_share, found.measured) == (0.01, 16.0, 0.0, 345)
