"""While a fleet is replaced, workers of this version and of the one before see each other's load."""

from __future__ import annotations

import numpy as np
import pytest

from rb_litellm.core.types import InstanceState
from rb_litellm.state.exchange.gauges import StoredGauge, decode, encode
from rb_litellm.state.exchange.redis.previous import LOOKED_S
from rb_litellm.state.exchange.redis.script import Script
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore, connect
from rb_litellm.state.exchange.wire import Told
from rb_litellm.state.index import DeploymentIndex
from tests.state.state_samples import told

KEY = "rb:1:{default}"


class WorkerBefore:
    """A worker of the version before, as far as the store sees it."""

    def __init__(self, url, name, in_flight):
        self.client = connect(RedisSettings(url=url))
        self.name = name
        self.payload = gauge(in_flight)
        self.script = Script("exchange_1.lua")
        self.known = []

    async def exchange(self):
        """Attempts in flight by worker, as that version reads them."""
        known = [name for name in self.known if name != self.name]
        keys = [f"{KEY}:workers", *(f"{KEY}:gauge:{name}" for name in (self.name, *known))]
        names, gauges, _ = await self.script.run(self.client, keys, [self.name, "5000", self.payload, *known])
        self.known = [name.decode() for name in names]
        return {
            name: decode_in_flight(payload)
            for name, payload in zip(known, gauges, strict=True)
            if payload is not None
        }


def gauge(in_flight):
    index = DeploymentIndex()
    index.row("d")
    load = np.array([float(in_flight)])
    return encode(index, InstanceState(load, load, load), load, 1.0)


def decode_in_flight(payload):
    return decode(StoredGauge("w", 0.0, payload)).loads["d"].in_flight


def now_told(in_flight):
    return Told(told().names, told(in_flight).table, gauge=lambda: gauge(in_flight))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
async def fleet(redis_server):
    """Two workers of this version with 10 and 100 attempts, their clock, and one of the version before."""
    clock = Clock()
    stores = [RedisStore(RedisSettings(url=redis_server.url), clock) for _ in range(2)]
    before = WorkerBefore(redis_server.url, "old", 1)
    yield stores, clock, before
    for store in stores:
        await store.close()
    await before.client.aclose()


async def exchanged(stores, clock):
    clock.now += LOOKED_S
    return [await store.exchange(f"w{n}", now_told(10 ** (n + 1)), 5.0) for n, store in enumerate(stores)]


async def test_each_sees_the_load_of_the_other_and_nothing_twice(fleet):
    stores, clock, before = fleet
    for _ in range(3):
        heard = await exchanged(stores, clock)
        seen = await before.exchange()
    assert seen == {"w0~2": 10, "w1~2": 100}
    assert [one.table[0, 0] for one in heard] == [100, 10]
    assert [[decode(gauge).loads["d"].in_flight for gauge in one.gauges] for one in heard] == [[1], [1]]


async def test_an_onlooker_sees_workers_of_both_versions_once(fleet):
    stores, clock, before = fleet
    for _ in range(3):
        await exchanged(stores, clock)
        await before.exchange()
    reading = await stores[0].read()
    assert {gauge.origin for gauge in reading.gauges} == {"w0", "w1", "old"}


async def test_once_the_last_worker_of_the_version_before_is_gone_nothing_is_told_to_it(fleet, redis_server):
    stores, clock, before = fleet
    for _ in range(3):
        await exchanged(stores, clock)
        await before.exchange()
    with redis_server.client() as client:
        client.delete(f"{KEY}:gauge:old")
        for _ in range(3):
            heard = await exchanged(stores, clock)
        assert [one.gauges for one in heard] == [(), ()]
        client.delete(f"{KEY}:gauge:w0~2", f"{KEY}:gauge:w1~2")
        await exchanged(stores, clock)
        assert not client.keys(f"{KEY}:gauge:*")


async def test_without_a_worker_of_the_version_before_nothing_is_written_for_it(fleet, redis_server):
    stores, clock, _ = fleet
    await exchanged(stores, clock)
    with redis_server.client() as client:
        assert not client.keys("rb:1:*")


async def test_a_worker_that_ends_is_gone_for_both_versions(fleet):
    stores, clock, before = fleet
    for _ in range(3):
        await exchanged(stores, clock)
        await before.exchange()
    await stores[0].remove("w0")
    assert await before.exchange() == {"w1~2": 100}
