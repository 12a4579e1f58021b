"""Redis fails in every way of the list; the worker goes on, says so once, and recovers by itself."""

import asyncio
import logging
import time

import pytest

from rb_litellm.bench.real.redis_faults import FAULTS, injected
from rb_litellm.core.types import Prediction
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.exchange.publisher import GaugePublisher
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner

OUTAGES = [fault for fault in FAULTS if fault not in ("slow", "flushed", "restarted")]
PREDICTION = Prediction(0.5, 100.0, 0.0, 0.2, 0.02, 2.2, 0.001)


class Worker:
    def __init__(self, port, namespace):
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.peers = Peers(self.index)
        self.reckoner = Reckoner(self.index, self.ledger, self.peers)
        settings = RedisSettings(host="127.0.0.1", port=port, namespace=namespace, timeout_s=0.6)
        self.publisher = GaugePublisher(
            self.index,
            self.ledger,
            self.peers,
            RedisStore(settings),
            interval_s=0.1,
            ttl_s=1.0,
            timeout_s=1.5,
            shown=settings.shown,
        )
        self.reckoner.row("d")

    def open(self, count):
        for number in range(count):
            key = AttemptKey(f"call-{number}", 0)
            self.ledger.open(key, "d", now=time.monotonic(), input_tokens=10, prediction=PREDICTION)

    @property
    def in_flight(self):
        return self.reckoner.state(time.monotonic()).in_flight[0]

    @property
    def mode(self):
        return self.publisher.status().mode


async def until(true, within_s=8.0):
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true in time")


@pytest.fixture
async def workers(redis_server, redis_proxy, request):
    """Two workers of one fleet; the first reaches Redis through the proxy, the second directly."""
    pair = [
        Worker(port, request.node.name.strip("]").split("[")[-1])
        for port in (redis_proxy.port, redis_server.port)
    ]
    pair[0].open(3)
    pair[1].open(2)
    for worker in pair:
        worker.publisher.start()
    await until(lambda: all(worker.in_flight == 5 for worker in pair))
    yield pair
    for worker in pair:
        await worker.publisher.stop()


@pytest.mark.parametrize("fault", OUTAGES)
async def test_in_an_outage_a_worker_goes_by_its_own_load_and_recovers_by_itself(
    fault, workers, redis_server, redis_proxy, caplog
):
    caplog.set_level(logging.INFO, "rb_litellm")
    one, _ = workers
    with injected(fault, redis_server, redis_proxy):
        await until(lambda: one.mode == "degraded" and one.in_flight == 6)  # its own three, for each of two
    await until(lambda: one.mode == "redis" and one.in_flight == 5)
    lines = [record.message for record in caplog.records if f":{redis_proxy.port}/" in record.message]
    assert len(lines) == 2
    assert "cannot be used" in lines[0]
    assert "answers again" in lines[1]


@pytest.mark.parametrize("fault", ["flushed", "restarted"])
async def test_when_redis_loses_everything_the_workers_find_each_other_again(
    fault, workers, redis_server, redis_proxy
):
    before = [worker.publisher.status().exchanges for worker in workers]
    with injected(fault, redis_server, redis_proxy):
        await until(
            lambda: all(
                worker.publisher.status().exchanges > then + 3 and worker.in_flight == 5
                for worker, then in zip(workers, before, strict=True)
            )
        )


async def test_a_slow_redis_is_no_outage(workers, redis_server, redis_proxy):
    one, _ = workers
    with injected("slow", redis_server, redis_proxy):
        done = one.publisher.status().exchanges
        await until(lambda: one.publisher.status().exchanges > done + 3)
        assert one.mode == "redis"
        assert one.in_flight == 5


async def test_a_redis_that_is_down_at_start_is_used_once_it_is_there(redis_server, redis_proxy):
    worker = Worker(redis_proxy.port, "late")
    with injected("refused", redis_server, redis_proxy):
        worker.publisher.start()
        await until(lambda: worker.mode == "degraded")
    await until(lambda: worker.mode == "redis")
    await worker.publisher.stop()


async def test_stopping_during_an_outage_does_not_wait_for_redis(redis_server, redis_proxy):
    worker = Worker(redis_proxy.port, "stopping")
    worker.publisher.start()
    await until(lambda: worker.mode == "redis" and worker.publisher.status().exchanges)
    with injected("hanging", redis_server, redis_proxy):
        await asyncio.wait_for(worker.publisher.stop(), 4.0)
