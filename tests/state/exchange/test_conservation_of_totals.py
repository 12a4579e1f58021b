"""Property: whatever joins, leaves, dies and is lost, a worker hears the sum of what all others told."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.exchange.wire import Told

NAMES = tuple(f"l d{number}" for number in range(70))
"""Of more than one chunk."""
FLEET = "rb:2:{default}"
figures = st.lists(
    st.tuples(st.integers(0, 69), st.integers(0, 5), st.integers(0, 9000), st.integers(0, 300)), max_size=6
)
workers = st.integers(0, 3)


@pytest.fixture
def machine(redis_server):
    # A server that answers late on a busy machine has lost nothing.
    settings_of_stores = RedisSettings(url=redis_server.url, timeout_s=20.0)

    class Fleet(RuleBasedStateMachine):
        """Four workers that may be there or not; `told` is what each of those that are there has told."""

        def __init__(self):
            super().__init__()
            self.loop = asyncio.new_event_loop()
            self.redis = redis_server.client()
            self.redis.flushall()
            self.stores = {}
            self.told = {}
            self.disturbed = False

        def teardown(self):
            for store in self.stores.values():
                self.loop.run_until_complete(store.close())
            self.redis.close()
            self.loop.close()

        def exchange(self, worker):
            store = self.stores.setdefault(worker, RedisStore(settings_of_stores))
            told = Told(NAMES, self.told[worker])
            return self.loop.run_until_complete(store.exchange(f"w{worker}", told, 60.0))

        @rule(worker=workers, load=figures)
        def tells(self, worker, load):
            table = np.zeros((len(NAMES), 4), dtype=np.int64)
            for row, in_flight, prefill, rate in load:
                table[row] = in_flight, prefill, 0, rate
            self.told[worker] = table
            heard = self.exchange(worker)
            if not self.disturbed:
                self.check(worker, heard)

        @rule(worker=workers)
        def leaves(self, worker):
            if worker in self.told:
                del self.told[worker]
                self.loop.run_until_complete(self.stores[worker].remove(f"w{worker}"))

        @rule(worker=workers)
        def is_killed_and_its_time_passes(self, worker):
            if worker in self.told:
                del self.told[worker], self.stores[worker]
                if self.redis.exists(f"{FLEET}:alive"):
                    self.redis.zadd(f"{FLEET}:alive", {f"w{worker}": 1.0})

        @rule(worker=workers)
        def forgets_whether_it_arrived(self, worker):
            if worker in self.stores:
                self.stores[worker]._share.forget()

        @rule()
        def an_hour_passes(self):
            epoch = self.redis.hget(f"{FLEET}:meta", "epoch")
            if epoch is not None:
                self.redis.hset(f"{FLEET}:meta", "epoch", str(int(epoch) - 3_600_001))

        @rule(part=st.sampled_from(["meta", "slots", "shares", "alive", "totals"]))
        def a_key_is_lost(self, part):
            self.redis.delete(f"{FLEET}:{part}")
            self.disturbed = True

        @rule()
        def everything_is_lost(self):
            self.redis.flushall()
            self.redis.script_flush()
            self.disturbed = True

        @precondition(lambda self: self.disturbed and self.told)
        @rule()
        def all_have_exchanged(self):
            for _ in range(2):
                for worker in self.told:
                    self.exchange(worker)
            # Where it was lost how long the share of a dead worker counts, it counts for one time to live.
            living = {f"w{worker}" for worker in self.told}
            for name in self.redis.zrange(f"{FLEET}:alive", 0, -1):
                if name.decode() not in living:
                    self.redis.zadd(f"{FLEET}:alive", {name: 1.0})
            self.disturbed = False

        @invariant()
        def the_totals_are_the_sum_of_the_shares(self):
            if self.disturbed:
                return
            for worker in self.told:
                self.check(worker, self.exchange(worker))

        def check(self, worker, heard):
            others = [table for other, table in self.told.items() if other != worker]
            expected = np.sum(others, axis=0) if others else np.zeros((len(NAMES), 4))
            exact = [0, 1, 3]
            assert heard.table[:, exact].tolist() == expected[:, exact].tolist()
            assert heard.peers == len(others)
            assert heard.unreadable == 0

    return Fleet


@pytest.mark.slow
def test_what_a_worker_hears_is_what_the_others_told(machine):
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
