"""Whatever becomes of the keys in which a fleet's load stands, the sums are soon right again."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
import redis

from rb_litellm.bench.real.redis_server import RedisServer
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.exchange.wire import CHUNK, ROW, Told

FLEET = "rb:2:{default}"
PARTS = ("meta", "slots", "shares", "alive", "totals", "notes", "told")
HEAD = struct.pack("<dIII", 1.0, 1, 1, 1)


def rows(**figures: float) -> bytes:
    """A chunk of rows, the first with these figures."""
    chunk = np.zeros(CHUNK, dtype=ROW)
    for name, figure in figures.items():
        chunk[name][0] = figure
    return chunk.tobytes()


BAD_SHARES = {
    "nothing": b"",
    "half a head": HEAD[:7],
    "half a row": HEAD + b"x" * 7,
    "no number": HEAD + rows(line=float("nan")),
    "infinite": HEAD + rows(line=float("inf")),
    "below zero": HEAD + rows(line=-5.0),
    "half a token": HEAD + rows(line=0.5),
    "too many attempts": HEAD + rows(in_flight=2**32 - 1),
    "too fast": HEAD + rows(rate=2**30),
    "too long": HEAD + rows() * 129,
    "very long": b"x" * (1 << 20),
}


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with RedisServer() as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as made:
        made.flushall()
        yield made


@pytest.fixture
async def stores(server: RedisServer, client: redis.Redis) -> AsyncIterator[list[RedisStore]]:
    made = [RedisStore(RedisSettings(url=server.url)) for _ in range(3)]
    yield made
    for store in made:
        await store.close()


async def heard(stores: list[RedisStore]) -> list[float]:
    """What each worker hears of the others' attempts, where they have 1, 10 and 100."""
    found = []
    for number, store in enumerate(stores):
        told = Told(("l d",), np.array([[10**number, 5, 0, 0]]))
        found.append(float((await store.exchange(f"w{number}", told, 5.0)).table[0, 0]))
    return found


RIGHT = [110.0, 101.0, 11.0]


async def healed(stores: list[RedisStore]) -> bool:
    await heard(stores)
    await heard(stores)
    return await heard(stores) == RIGHT


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("kind", ["lost", "string", "list", "hash", "zset"])
async def test_a_key_that_is_lost_or_of_another_type(
    stores: list[RedisStore], client: redis.Redis, part: str, kind: str
) -> None:
    assert await healed(stores)
    key = f"{FLEET}:{part}"
    client.delete(key)
    {
        "lost": lambda: None,
        "string": lambda: client.set(key, "nonsense"),
        "list": lambda: client.lpush(key, "nonsense"),
        "hash": lambda: client.hset(key, "nonsense", "nonsense"),
        "zset": lambda: client.zadd(key, {"nonsense": 1.0}),
    }[kind]()
    assert await healed(stores)


@pytest.mark.parametrize("bad", BAD_SHARES)
async def test_a_share_that_is_none_is_dropped_and_counted(
    stores: list[RedisStore], client: redis.Redis, bad: str
) -> None:
    assert await healed(stores)
    client.hset(f"{FLEET}:shares", "bad", BAD_SHARES[bad])
    answer = await stores[0].exchange("w0", Told(("l d",), np.array([[1, 5, 0, 0]])), 5.0)
    assert (answer.table[0, 0], answer.peers, answer.unreadable) == (110, 2, 1)
    assert not client.hexists(f"{FLEET}:shares", "bad")
    assert await healed(stores)


@pytest.mark.parametrize("bad", BAD_SHARES)
async def test_a_workers_own_share_that_was_overwritten(
    stores: list[RedisStore], client: redis.Redis, bad: str
) -> None:
    assert await healed(stores)
    client.hset(f"{FLEET}:shares", "w1", BAD_SHARES[bad])
    assert await healed(stores)


@pytest.mark.parametrize(
    "figures", [{"in_flight": 3}, {"line": float("nan")}, {"line": -1.0}, {"line": 1e300}]
)
async def test_totals_that_were_overwritten(
    stores: list[RedisStore], client: redis.Redis, figures: dict[str, float]
) -> None:
    assert await healed(stores)
    version, count = struct.unpack("<dI", client.get(f"{FLEET}:totals")[:12])  # type: ignore[index]
    made = struct.pack("<dI", version, count) + struct.pack("<d", version + 1.0) + rows(**figures)
    client.set(f"{FLEET}:totals", made)
    assert await healed(stores)


async def test_a_flood_of_workers_is_dropped(stores: list[RedisStore], client: redis.Redis) -> None:
    assert await healed(stores)
    client.zadd(f"{FLEET}:alive", {f"x{n}": 1e15 for n in range(5000)})
    client.hset(f"{FLEET}:shares", mapping={f"y{n}": HEAD + rows(in_flight=1) for n in range(2000)})
    assert await healed(stores)
    assert client.hlen(f"{FLEET}:shares") == client.zcard(f"{FLEET}:alive") == 3


async def test_a_flood_of_names_leaves_room_for_what_is_known(
    stores: list[RedisStore], client: redis.Redis
) -> None:
    assert await healed(stores)
    many = tuple(f"l x{n}" for n in range(9000))
    store = RedisStore(RedisSettings(url=stores[0]._settings.url))
    await store.exchange("flood", Told(many, np.ones((9000, 4), dtype=np.int64)), 5.0)
    await store.remove("flood")
    await store.close()
    assert client.hlen(f"{FLEET}:slots") == 8192
    assert await healed(stores)


@pytest.mark.parametrize("note", [b"", b"nonsense", b"nan {}", b"1e400 {}", b"-1 {}", b"x" * 200_000])
async def test_a_note_that_is_none_reaches_nobody(
    stores: list[RedisStore], client: redis.Redis, note: bytes
) -> None:
    assert await healed(stores)
    client.hset(f"{FLEET}:notes", "w1", note)
    client.zadd(f"{FLEET}:told", {"w1": 1.0})
    client.hset(f"{FLEET}:meta", "notes", "1")
    answer = await stores[0].exchange("w0", Told(("l d",), np.array([[1, 5, 0, 0]])), 5.0)
    assert answer.notes == ()


@pytest.mark.parametrize("field", ["generation", "epoch", "slots", "notes"])
@pytest.mark.parametrize("value", ["", "nonsense", "nan", "-1", "1e400", "9" * 400, "7"])
async def test_counts_that_are_none(
    stores: list[RedisStore], client: redis.Redis, field: str, value: str
) -> None:
    assert await healed(stores)
    client.hset(f"{FLEET}:meta", field, value)
    assert await healed(stores)
