"""The background exchange: what is told, what is stored, and what happens when the store fails."""

import asyncio
import logging
from dataclasses import replace

import pytest

from rb_litellm.core.grade_sums import Grades, GradeSum
from rb_litellm.core.servers.prefix_memory import PrefixIndex, block_names
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.gauges import StoredGauge
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.exchange.publisher import LEARNED_EVERY_S, GaugePublisher
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner
from tests.memory_store import MemoryStore
from tests.state.state_samples import prediction


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Worker:
    def __init__(self, store, clock, name):
        self.clock = clock
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.peers = Peers(self.index)
        self.reckoner = Reckoner(self.index, self.ledger, self.peers)
        self.publisher = GaugePublisher(
            self.index, self.ledger, self.peers, store, shown="the store", origin=name, clock=clock
        )
        self.reckoner.row("d")

    def open(self, count=1):
        for _ in range(count):
            key = AttemptKey(f"call-{len(self.ledger)}", 0)
            self.ledger.open(key, "d", now=self.clock(), input_tokens=10, prediction=prediction())

    @property
    def in_flight(self):
        return self.reckoner.state(self.clock()).in_flight[0]


async def until(true):
    """Let the event loop run until something has come true."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


class FailingStore(MemoryStore):
    """A memory store that fails while `error` is set, or never answers while `hangs`."""

    kind = "redis"
    error: Exception | None = None
    hangs = False

    previous: tuple[StoredGauge, ...] = ()
    """Gauges of workers of the version before."""

    async def exchange(self, origin, told, ttl_s, workers=False):
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        heard = await super().exchange(origin, told, ttl_s, workers)
        return replace(heard, gauges=self.previous)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return FailingStore(clock)


@pytest.fixture
def workers(store, clock):
    return [Worker(store, clock, name) for name in ("w1", "w2")]


async def test_workers_see_each_others_load(workers):
    one, two = workers
    one.open(3)
    two.open(1)
    for worker in (one, two, one):
        assert await worker.publisher.step()
    assert (one.in_flight, two.in_flight) == (4, 4)


async def test_stopping_takes_the_load_away_at_once(workers):
    one, two = workers
    two.open(1)
    await two.publisher.step()
    await two.publisher.stop()
    await one.publisher.step()
    assert one.in_flight == 0


async def test_a_killed_workers_load_is_gone_after_its_ttl(workers, clock):
    one, two = workers
    two.open(1)
    await two.publisher.step()
    await one.publisher.step()
    assert one.in_flight == 1
    clock.now += 5.01
    await one.publisher.step()
    assert one.in_flight == 0


async def test_without_a_store_nothing_runs_and_the_mode_is_memory(clock):
    worker = Worker(None, clock, "w1")
    worker.publisher.start()
    assert worker.publisher.status().mode == "memory"
    await worker.publisher.stop()


async def test_the_status_has_the_peers_and_the_age_of_the_last_update(workers, clock):
    for worker in workers * 2:
        await worker.publisher.step()
    clock.now += 0.5
    status = workers[0].publisher.status()
    assert (status.mode, status.peers, status.age_s, status.exchanges) == ("redis", 1, 0.5, 2)


async def test_a_failure_never_leaves_the_publisher(workers, store):
    store.error = RuntimeError("whatever")
    assert await workers[0].publisher.step() is False
    assert workers[0].publisher.status().error == "RuntimeError: whatever"


async def test_a_store_that_never_answers_is_given_up(store, clock):
    worker = Worker(store, clock, "w1")
    worker.publisher._timeout_s = 0.01
    store.hangs = True
    assert await worker.publisher.step() is False


async def test_each_change_of_state_is_one_line_in_the_log(workers, store, caplog):
    caplog.set_level(logging.INFO, "rb_litellm")
    publisher = workers[0].publisher
    await publisher.step()
    store.error = OSError("gone")
    for _ in range(10):
        await publisher.step()
    assert publisher.status().mode == "degraded"
    store.error = None
    for _ in range(10):
        await publisher.step()
    assert publisher.status().mode == "redis"
    assert [record.message.split(" (")[0] for record in caplog.records] == [
        "RouteBalance: the store cannot be used",
        "RouteBalance: the store answers again; workers share their load",
    ]


async def test_the_breaker_opens_at_the_second_failure_tries_and_closes(workers, store, clock):
    publisher = workers[0].publisher
    await publisher.step()
    store.error = OSError("gone")
    seen = []
    for _ in range(2):
        await publisher.step()
        seen.append(publisher.status().breaker)
    store.error, store.hangs = None, True
    trial = asyncio.create_task(publisher.step())
    await asyncio.sleep(0)
    seen.append(publisher.status().breaker)
    trial.cancel()
    store.hangs = False
    await publisher.step()
    assert [*seen, publisher.status().breaker] == ["closed", "open", "half-open", "closed"]


async def test_the_status_says_when_a_worker_counts_its_load_for_its_peers_too(workers, store, clock):
    for worker in workers * 2:
        await worker.publisher.step()
    assert not workers[0].publisher.status().alone
    clock.now += 5.01
    assert workers[0].publisher.status().alone


async def test_a_single_failure_between_answers_is_no_change_of_state(workers, store, caplog):
    publisher = workers[0].publisher
    await publisher.step()
    store.error = OSError("hiccup")
    await publisher.step()
    store.error = None
    await publisher.step()
    assert not caplog.records
    assert publisher.status().mode == "redis"


async def test_cut_off_and_back_again(workers, store, clock):
    one = workers[0]
    one.open(2)
    for worker in workers * 2:
        await worker.publisher.step()
    store.error = OSError("gone")
    clock.now += 10.0
    await one.publisher.step()
    assert one.in_flight == 4  # its own two, once for each of two workers
    store.error = None
    for worker in workers * 2:
        await worker.publisher.step()
    assert one.in_flight == 2


async def test_a_gauge_that_cannot_be_read_is_passed_over_with_one_warning(workers, store, caplog):
    store.previous = (StoredGauge("unknown", 0.0, b"\x00nonsense"),)
    one, two = workers
    two.open(1)
    await two.publisher.step()
    caplog.clear()
    for _ in range(5):
        assert await one.publisher.step()
    assert one.in_flight == 1
    assert len(caplog.records) == 1


async def test_it_runs_by_itself_once_started_and_starting_twice_is_starting_once(workers):
    one, two = workers
    two.open(1)
    for worker in workers:
        worker.publisher.start()
        worker.publisher.start()
    await until(lambda: one.in_flight == 1 and two.publisher.status().peers == 1)
    assert sum(task.get_name() == "routebalance-gauges" for task in asyncio.all_tasks()) == 2
    for worker in workers:
        await worker.publisher.stop()


def test_started_again_in_another_event_loop(workers):
    one = workers[0]

    async def run():
        before = one.publisher.status().exchanges
        one.publisher.start()
        await until(lambda: one.publisher.status().exchanges > before)

    asyncio.run(run())
    asyncio.run(run())


async def test_more_than_the_payload_bound_of_a_peer_is_not_read(workers, store, caplog):
    store.previous = (StoredGauge("big", 0.0, b"x" * (1 << 21)),)
    assert await workers[0].publisher.step()
    assert workers[0].publisher.status().unreadable == 1
    assert len(caplog.records) == 1


async def test_workers_of_the_version_before_are_added_to_the_sums_of_all_others(workers, store):
    store.previous = (StoredGauge("old", 0.0, b'{"v":1,"up":3,"d":{"d":[5,0,0,0]}}'),)
    one, two = workers
    two.open(2)
    for worker in (one, two, one):
        await worker.publisher.step()
    assert one.in_flight == 7
    assert {worker.name for worker in one.peers.workers} == {"w2", "old"}


async def test_a_cancellation_that_is_lost_does_not_keep_the_exchange_alive(workers, store):
    publisher = workers[0].publisher
    publisher.start()
    task, publisher._task = publisher._task, None
    await asyncio.wait_for(task, 5.0)


async def test_workers_hear_of_each_others_prefixes():
    clock, store = Clock(), MemoryStore()
    names = block_names("Be brief. " * 100)
    memories = []
    for name in "ab":
        worker = Worker(store, clock, name)
        memories.append((PrefixIndex(), worker.index.row("d")))
        parts = (worker.index, worker.ledger, worker.peers, store)
        worker.publisher = GaugePublisher(*parts, prefixes=memories[-1][0], origin=name, clock=clock)
        memories[0][0].sent(names, memories[0][1], clock())
        await worker.publisher.step()
    memory, row = memories[1]
    (found,) = memory.seen(names, clock(), 60.0).items()
    assert found == (row, (len(names), pytest.approx(0.0, abs=1.0)))


class Grading:
    """What a worker tells of grades, and what it has heard."""

    def __init__(self, told, on=True):
        self.on = on
        self.told = told
        self.heard = []

    def tell(self):
        return self.told

    def hear(self, told, answer):
        self.heard.append((told, answer))


def grading_publisher(store, grading, clock):
    index = DeploymentIndex()
    return GaugePublisher(
        index, Ledger(index, LeaseRule()), Peers(index), store, grades=grading, origin="w", clock=clock
    )


async def test_grades_are_exchanged_with_what_is_learned_and_no_more_often():
    clock, store = Clock(), MemoryStore()
    grading = Grading(Grades({"code|small": GradeSum(1.0, 1.0, 0.5)}))
    publisher = grading_publisher(store, grading, clock)
    for seconds in (0.0, 1.0, LEARNED_EVERY_S):
        clock.now += seconds
        assert await publisher.step()
    assert len(grading.heard) == 2
    told, answer = grading.heard[-1]
    assert told is grading.told
    assert answer.sums["code|small"].weight == pytest.approx(2.0, rel=1e-3)


async def test_no_grades_are_exchanged_while_nothing_learns_from_them():
    grading = Grading(Grades(), on=False)
    assert await grading_publisher(MemoryStore(), grading, Clock()).step()
    assert grading.heard == []


async def test_grades_that_the_store_does_not_take_are_not_counted_as_told():
    class NoGrades(MemoryStore):
        async def share_grades(self, told):
            raise ConnectionError("gone")

    grading = Grading(Grades())
    assert not await grading_publisher(NoGrades(), grading, Clock()).step()
    assert grading.heard == []
