"""What somebody else writes into the Redis that workers share stops nothing but itself.

Here are gauges of workers of the version before; what belongs to this one is in `test_shared_totals`.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import AsyncIterator, Iterator

import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.state.attempt import LeaseRule
from rb_litellm.state.exchange.gauges import StoredGauge, decode
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.exchange.publisher import GaugePublisher
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger

FLEET = "rb:1:{default}"
HUGE = "9" * 400
GOOD = '{"v":1,"up":3,"d":{"a":[1,2,3,4]}}'
BAD = {
    "a number of 400 digits": f'{{"v":1,"up":3,"d":{{"a":[{HUGE},2,3,4]}}}}',
    "an age of 400 digits": f'{{"v":1,"up":{HUGE},"d":{{}}}}',
    "a number of 5,000 digits": f'{{"v":1,"up":{HUGE * 13},"d":{{}}}}',
    "deep nesting": "[" * 200_000,
    "infinite": '{"v":1,"up":3,"d":{"a":[Infinity,2,3,4]}}',
    "no number": '{"v":1,"up":3,"d":{"a":[NaN,2,3,4]}}',
    "no object": "[]",
    "null": "null",
    "a list of loads": '{"v":1,"up":3,"d":[1]}',
    "odd prefixes": '{"v":1,"up":3,"d":{},"p":{"a":7}}',
    "no JSON": "\xff\xfe",
    "nothing": "",
    "long": '{"v":1,"up":3,"d":{},"x":"' + "x" * (1 << 20) + '"}',
}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
async def publisher(server: RedisServer) -> AsyncIterator[GaugePublisher]:
    with server.client() as client:
        client.flushall()
    index = DeploymentIndex()
    index.row("a")
    store = RedisStore(RedisSettings(url=server.url))
    made = GaugePublisher(index, Ledger(index, LeaseRule()), Peers(index), store, origin="me")
    yield made
    await made.stop()


def write(server: RedisServer, name: str, value: str | bytes) -> None:
    with server.client() as client:
        client.sadd(f"{FLEET}:workers", name)
        client.set(f"{FLEET}:gauge:{name}", value, px=60_000)


def now_ms(server: RedisServer) -> str:
    with server.client() as client:
        return str(int(client.time()[0]) * 1000)


async def exchanged(publisher: GaugePublisher) -> int:
    """Exchange three times: names, gauges, and again; the number of peers that can be read."""
    for _ in range(3):
        assert await publisher.step(), publisher.status().error
    return publisher.status().peers


@pytest.mark.parametrize("bad", BAD)
async def test_a_gauge_that_cannot_be_read_is_skipped_counted_and_named_once(
    publisher: GaugePublisher, server: RedisServer, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    write(server, "good", f"{now_ms(server)} {GOOD}")
    write(server, "bad", f"{now_ms(server)} ".encode() + BAD[bad].encode("latin-1"))
    with caplog.at_level(logging.WARNING, "rb_litellm"):
        assert await exchanged(publisher) == 1
    assert publisher.status().unreadable >= 2
    named = [r.getMessage() for r in caplog.records if "'bad'" in r.getMessage()]
    assert len(named) == 1
    assert len(named[0]) < 500


@pytest.mark.parametrize(
    "stamp", ["", "now ", "1e400 ", "-1e400 ", "nan ", f"{HUGE} ", "-5 ", "0x7ff ", " ", "inf "]
)
async def test_a_time_that_is_none_stops_nobody(
    publisher: GaugePublisher, server: RedisServer, stamp: str
) -> None:
    write(server, "good", f"{now_ms(server)} {GOOD}")
    write(server, "bad", f"{stamp}{GOOD}")
    await exchanged(publisher)
    json.dumps([publisher.status().age_s], allow_nan=False)
    assert "good" in {worker.name for worker in publisher._peers.workers}


async def test_keys_of_another_type_stop_nobody(publisher: GaugePublisher, server: RedisServer) -> None:
    with server.client() as client:
        write(server, "good", f"{now_ms(server)} {GOOD}")
        for name, make in {
            "list": lambda key: client.lpush(key, "x"),
            "hash": lambda key: client.hset(key, "a", "b"),
            "zset": lambda key: client.zadd(key, {"a": 1}),
            "me~2": lambda key: (client.delete(key), client.lpush(key, "x")),
        }.items():
            client.sadd(f"{FLEET}:workers", name)
            make(f"{FLEET}:gauge:{name}")
        assert await exchanged(publisher) == 1
        client.delete(f"{FLEET}:workers")
        client.set(f"{FLEET}:workers", "no set")
        assert await publisher.step()
        publisher._store._previous._looked_s = -math.inf  # type: ignore[union-attr]
        write(server, "good", f"{now_ms(server)} {GOOD}")
        assert await exchanged(publisher) == 1


async def test_a_flood_of_names_is_bounded(publisher: GaugePublisher, server: RedisServer) -> None:
    with server.client() as client:
        for first in range(0, 20_000, 2000):
            client.sadd(f"{FLEET}:workers", *(f"w{n}" for n in range(first, first + 2000)))
        client.sadd(f"{FLEET}:workers", "x" * 100_000)
    await exchanged(publisher)
    assert len(publisher._store._previous._known) <= 512  # type: ignore[union-attr]


@pytest.mark.parametrize("age", [math.inf, math.nan, -1.0])
def test_an_age_that_is_none_is_no_gauge(age: float) -> None:
    with pytest.raises(ValueError, match="gauge of"):
        decode(StoredGauge("w", age, GOOD.encode()))
