"""One suite for all stores: memory, Redis and Valkey keep the same promises."""

import asyncio
import os
import shutil

import pytest

from rb_litellm.bench.redis_server import RedisServer
from rb_litellm.core.grade_sums import MAX_NAMES, MOST, Grades, GradeSum
from rb_litellm.state.exchange.memory import MemoryStore
from rb_litellm.state.exchange.redis import RedisStore
from rb_litellm.state.exchange.redis_settings import RedisSettings

VALKEY = os.environ.get("VALKEY_SERVER") or shutil.which("valkey-server")


@pytest.fixture(scope="module")
def valkey_server():
    if VALKEY is None:
        pytest.skip("no valkey-server on PATH or in VALKEY_SERVER")
    with RedisServer(executable=VALKEY) as server:
        yield server


@pytest.fixture(params=["memory", "redis", "valkey"])
async def stores(request):
    """Three workers' stores that share one place."""
    if request.param == "memory":
        shared = MemoryStore()
        yield [shared, shared, shared]
        return
    server = request.getfixturevalue(f"{request.param}_server")
    with server.client() as client:
        client.flushall()
    made = [RedisStore(RedisSettings(url=server.url)) for _ in range(3)]
    yield made
    for store in made:
        await store.close()


async def settle(stores, ttl_s=5.0):
    """Two rounds: after them everybody has met everybody."""
    for _ in range(2):
        for number, store in enumerate(stores):
            await store.exchange(f"w{number}", f"gauge {number}".encode(), ttl_s)


async def test_each_worker_gets_the_gauges_of_all_others_and_not_its_own(stores):
    await settle(stores)
    stored = await stores[0].exchange("w0", b"new", 5.0)
    assert {(h.origin, h.payload) for h in stored} == {("w1", b"gauge 1"), ("w2", b"gauge 2")}


async def test_a_gauge_replaces_the_one_before(stores):
    await settle(stores)
    await stores[0].exchange("w0", b"new", 5.0)
    stored = await stores[1].exchange("w1", b"", 5.0)
    assert {h.payload for h in stored if h.origin == "w0"} == {b"new"}


async def test_gauges_say_how_old_they_are(stores):
    await settle(stores)
    await asyncio.sleep(0.1)
    [age] = [h.age_s for h in await stores[1].exchange("w1", b"", 5.0) if h.origin == "w0"]
    assert 0.09 <= age < 2.0


async def test_a_worker_that_falls_silent_is_gone_after_its_ttl(stores):
    await settle(stores, ttl_s=0.15)
    await asyncio.sleep(0.2)
    await stores[0].exchange("w0", b"", 5.0)
    assert await stores[0].exchange("w0", b"", 5.0) == []


async def test_a_worker_that_leaves_is_gone_at_once(stores):
    await settle(stores)
    await stores[2].remove("w2")
    assert {h.origin for h in await stores[0].exchange("w0", b"", 5.0)} == {"w1"}


async def test_a_worker_that_was_gone_comes_back(stores):
    await settle(stores)
    await stores[2].remove("w2")
    await stores[0].exchange("w0", b"", 5.0)
    await settle(stores)
    assert {h.origin for h in await stores[0].exchange("w0", b"", 5.0)} == {"w1", "w2"}


async def test_an_onlooker_reads_all_gauges(stores):
    await settle(stores)
    assert {(h.origin, h.payload) for h in await stores[0].read()} == {
        (f"w{i}", f"gauge {i}".encode()) for i in range(3)
    }


async def test_any_bytes_come_back_as_they_went(stores):
    await settle(stores)
    await stores[0].exchange("w0", bytes(range(256)), 5.0)
    [payload] = [h.payload for h in await stores[1].exchange("w1", b"", 5.0) if h.origin == "w0"]
    assert payload == bytes(range(256))


async def test_a_store_is_usable_after_it_was_closed(stores):
    await settle(stores)
    await stores[0].close()
    assert len(await stores[0].exchange("w0", b"", 5.0)) == 2


async def test_what_was_learned_is_shared_and_outlives_those_who_learned_it(stores):
    assert await stores[0].share_learned({"a|1": b"old", "b|1": b"b"}, 60.0) == {"a|1": b"old", "b|1": b"b"}
    await stores[0].close()
    assert await stores[1].share_learned({"a|1": b"new"}, 60.0) == {"a|1": b"new", "b|1": b"b"}
    assert await stores[2].share_learned({}, 60.0) == {"a|1": b"new", "b|1": b"b"}


async def test_grades_of_all_workers_add_up_and_outlive_them(stores):
    told = {"code|small": GradeSum(2.0, 1.0, 1.5)}
    first = await stores[0].share_grades(Grades(told))
    assert first.sums["code|small"] == pytest.approx(told["code|small"])
    await stores[0].close()
    added = await stores[1].share_grades(Grades({**told, "chat|small": GradeSum(1.0, 0.0, 0.5)}))
    assert added.sums["code|small"] == pytest.approx(GradeSum(4.0, 2.0, 3.0))
    assert set((await stores[2].share_grades(Grades())).sums) == {"code|small", "chat|small"}


async def test_a_sum_of_grades_is_bounded_and_keeps_its_mean(stores):
    for _ in range(3):
        answer = await stores[0].share_grades(Grades({"code|small": GradeSum(MOST, MOST / 2, MOST / 4)}))
    assert answer.sums["code|small"] == pytest.approx(GradeSum(MOST, MOST / 2, MOST / 4), rel=1e-3)


async def test_a_grade_waits_for_the_worker_that_knows_its_call(stores):
    await stores[0].share_grades(Grades(unknown={"call": 0.25, "other": 1.0}))
    assert (await stores[1].share_grades(Grades())).unknown == {"call": 0.25, "other": 1.0}
    assert (await stores[1].share_grades(Grades(known=("call",)))).unknown == {"other": 1.0}


async def test_names_of_sums_are_bounded(stores):
    many = {f"code|{number}": GradeSum(1.0, 1.0, 1.0) for number in range(MAX_NAMES + 10)}
    assert len((await stores[0].share_grades(Grades(many))).sums) == MAX_NAMES
