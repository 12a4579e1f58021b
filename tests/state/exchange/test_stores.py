"""One suite for all stores: memory and Redis keep the same promises."""

import asyncio

import numpy as np
import pytest

from rb_litellm.core.grade_sums import MAX_NAMES, MOST, OF_JUDGES, Grades, GradeSum
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.exchange.wire import COLUMN, Told
from tests.memory_store import MemoryStore
from tests.state.state_samples import told


@pytest.fixture(params=["memory", "redis"])
async def stores(request):
    """Three workers' stores that share one place."""
    if request.param == "memory":
        shared = MemoryStore()
        yield [shared, shared, shared]
        return
    server = request.getfixturevalue("redis_server")
    made = [RedisStore(RedisSettings(url=server.url)) for _ in range(3)]
    yield made
    for store in made:
        await store.close()


async def settle(stores, ttl_s=5.0):
    """Two rounds: after them everybody has met everybody."""
    for _ in range(2):
        for number, store in enumerate(stores):
            await store.exchange(f"w{number}", told(10**number), ttl_s)


async def in_flight(store, name, own):
    """What the others have in flight, and how many they are, as the worker `name` hears it."""
    heard = await store.exchange(name, told(own), 5.0)
    return heard.table[0, COLUMN.in_flight], heard.peers


async def test_each_worker_gets_the_sums_of_all_others_without_its_own(stores):
    await settle(stores)
    assert await in_flight(stores[0], "w0", 7) == (110, 2)
    assert await in_flight(stores[1], "w1", 10) == (107, 2)


async def test_all_figures_of_a_row_are_added_up_and_output_tokens_fall_meanwhile(stores):
    await settle(stores)
    heard = await stores[0].exchange("w0", told(0), 5.0)
    in_flight, prefill, decode, rate = heard.table[0]
    assert (in_flight, prefill, rate) == (110, 1100, 5500)
    assert 110 <= decode <= 22_000


async def test_the_others_are_named_where_it_is_asked_for(stores):
    await settle(stores)
    assert (await stores[0].exchange("w0", told(), 5.0)).workers is None
    named = (await stores[0].exchange("w0", told(), 5.0, workers=True)).workers
    assert {(worker.name, worker.in_flight) for worker in named} == {("w1", 10), ("w2", 100)}


async def test_workers_say_how_old_their_loads_are(stores):
    await settle(stores)
    await asyncio.sleep(0.1)
    heard = await stores[1].exchange("w1", told(), 5.0, workers=True)
    [age] = [worker.age_s for worker in heard.workers if worker.name == "w0"]
    assert 0.09 <= age < 2.0


async def test_a_worker_that_falls_silent_is_gone_after_its_ttl(stores):
    await settle(stores, ttl_s=0.15)
    await asyncio.sleep(0.2)
    assert await in_flight(stores[0], "w0", 1) == (0, 0)


async def test_a_worker_that_leaves_is_gone_at_once(stores):
    await settle(stores)
    await stores[2].remove("w2")
    assert await in_flight(stores[0], "w0", 1) == (10, 1)


async def test_a_worker_that_was_gone_comes_back(stores):
    await settle(stores)
    await stores[2].remove("w2")
    await settle(stores)
    assert await in_flight(stores[0], "w0", 1) == (110, 2)


async def test_a_deployment_that_only_some_know_is_summed_for_these(stores):
    await settle(stores)
    await stores[1].exchange("w1", Told(("l d", "l e"), np.array([[1, 0, 0, 0], [3, 0, 0, 0]])), 5.0)
    heard = await stores[0].exchange("w0", Told(("l d", "l e"), np.array([[1, 0, 0, 0], [0] * 4])), 5.0)
    assert heard.table[:, COLUMN.in_flight].tolist() == [101, 3]


async def test_a_note_is_heard_once_by_each_of_the_others(stores):
    await settle(stores)
    await stores[1].exchange("w1", told(note=bytes(range(256))), 5.0)
    for number in (0, 2):
        for expected in ([("w1", bytes(range(256)))], []):
            heard = await stores[number].exchange(f"w{number}", told(), 5.0)
            assert [(note.origin, note.payload) for note in heard.notes] == expected
    assert (await stores[1].exchange("w1", told(), 5.0)).notes == ()


async def test_an_onlooker_reads_the_load_of_each_worker(stores):
    await settle(stores)
    reading = await stores[0].read()
    assert {(gauge.origin, gauge.loads["d"].in_flight) for gauge in reading.gauges} == {
        (f"w{number}", 10**number) for number in range(3)
    }
    assert reading.unreadable == ()


async def test_a_store_is_usable_after_it_was_closed(stores):
    await settle(stores)
    await stores[0].close()
    assert await in_flight(stores[0], "w0", 1) == (110, 2)


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


async def test_names_that_begin_anew_leave_nothing_behind_and_lose_nothing(stores):
    def of(**loads):
        table = np.zeros((len(loads), 4), dtype=np.int64)
        table[:, COLUMN.in_flight] = list(loads.values())
        return Told(tuple(loads), table)

    def heard(answer, told):
        return dict(zip(told.names, answer.table[:, COLUMN.in_flight].tolist(), strict=True))

    listens = of(gone=0, stays=0, new=0)
    for its in (of(gone=2, stays=3), of(stays=4, new=5), of(new=6), of(stays=1, gone=1, new=1)):
        await stores[0].exchange("w0", its, 5.0)
        answer = await stores[1].exchange("w1", listens, 5.0)
        told = dict(zip(its.names, its.table[:, COLUMN.in_flight].tolist(), strict=True))
        assert heard(answer, listens) == {"gone": 0, "stays": 0, "new": 0, **told}
        assert answer.unreadable == 0
    both = of(stays=10, new=20)
    await stores[1].exchange("w1", both, 5.0)
    assert heard(await stores[0].exchange("w0", listens, 5.0), listens) == {"gone": 0, "stays": 10, "new": 20}


async def test_an_exchange_that_is_told_again_counts_once(stores):
    told = {"code|small": GradeSum(2.0, 1.0, 1.5)}
    first = Grades(told, {"call": 0.25}, worker="w", number=1)
    for store in stores[:2]:
        answer = await store.share_grades(first)
    assert answer.sums["code|small"] == pytest.approx(told["code|small"])
    assert answer.unknown == {"call": 0.25}
    for worker, number in (("w", 2), ("v", 1)):
        answer = await stores[0].share_grades(Grades(told, worker=worker, number=number))
    assert answer.sums["code|small"] == pytest.approx(GradeSum(6.0, 3.0, 4.5))


async def test_kinds_of_sums_are_kept_apart_and_each_has_its_bound(stores):
    told = Grades({"judge": GradeSum(OF_JUDGES.most, 500.0, 250.0)}, {"call": 0.25})
    for _ in range(2):
        answer = await stores[0].share_grades(told, OF_JUDGES)
    assert answer.sums["judge"] == pytest.approx(GradeSum(OF_JUDGES.most, 500.0, 250.0), rel=1e-3)
    assert not (await stores[0].share_grades(Grades())).sums
    assert not (await stores[0].share_grades(Grades())).unknown


async def test_grades_that_nobody_takes_up_make_room_for_others_though_workers_go_on_exchanging(stores):
    rule = OF_JUDGES._replace(grades_ttl_s=0.2)
    await stores[0].share_grades(Grades(unknown={f"no call {n}": 0.0 for n in range(MAX_NAMES)}), rule)
    for _ in range(5):
        await asyncio.sleep(0.1)
        answer = await stores[1].share_grades(Grades(unknown={"call": 1.0}), rule)
    assert answer.unknown == {"call": 1.0}


async def test_names_of_sums_are_bounded(stores):
    many = {f"code|{number}": GradeSum(1.0, 1.0, 1.0) for number in range(MAX_NAMES + 10)}
    assert len((await stores[0].share_grades(Grades(many))).sums) == MAX_NAMES
