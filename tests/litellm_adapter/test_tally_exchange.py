"""An outage of Redis is no internal error of the sums of days and minutes, and its own telling is enough."""

from __future__ import annotations

import asyncio
import logging
from threading import RLock
from typing import Any

import pytest
from redis.exceptions import RedisError

from rb_litellm.litellm_adapter.shared.exchange import tally_exchange as module
from rb_litellm.litellm_adapter.shared.exchange.fleet_sums import FleetSums
from rb_litellm.litellm_adapter.shared.exchange.tally_exchange import TOLD_AFTER, TallyExchange
from rb_litellm.state.exchange.publisher import ExchangeStatus
from rb_litellm.state.exchange.redis.settings import RedisSettings

REDIS = RedisSettings(host="there")
UP = ExchangeStatus("redis", "closed", "worker", 1, False, 0.1, 1, 0, None)
DOWN = ExchangeStatus("degraded", "open", "worker", 1, False, 9.0, 1, 2, "gone")


class Sums:
    """In place of those in Redis."""

    fails: Exception | None = None
    asked = 0

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings

    async def tell(self, name: str, origin: str, amount: float, ttl_s: float) -> float:
        Sums.asked += 1
        if Sums.fails is not None:
            raise Sums.fails
        return amount


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> tuple[FleetSums, TallyExchange, list[Exception]]:
    monkeypatch.setattr(module, "RedisSums", Sums)
    monkeypatch.setattr(Sums, "fails", None)
    monkeypatch.setattr(Sums, "asked", 0)
    sums, errors = FleetSums(RLock(), "requests", 60.0, lambda: 0.0), []
    return sums, TallyExchange((sums,), errors.append), errors


async def flushed(sums: FleetSums, tallies: TallyExchange, status: ExchangeStatus, times: int = 1) -> None:
    for _ in range(times):
        sums.add("key one", 1.0)
        tallies.flush(REDIS, status)
        await asyncio.sleep(0.001)


async def test_while_redis_is_away_nothing_is_tried(worker: Any) -> None:
    sums, tallies, _ = worker
    await flushed(sums, tallies, DOWN, 3)
    assert Sums.asked == 0
    await flushed(sums, tallies, UP)
    assert Sums.asked == 1


@pytest.mark.parametrize("error", [RedisError("gone"), ConnectionError("gone"), TimeoutError()])
async def test_what_redis_fails_with_is_no_internal_error(
    worker: Any, error: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums, tallies, internal = worker
    monkeypatch.setattr(Sums, "fails", error)
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        await flushed(sums, tallies, UP, 3)
    assert (internal, tallies.errors, caplog.records) == ([], 3, [])


async def test_sums_that_fail_alone_are_told_once_and_their_return_too(
    worker: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sums, tallies, _ = worker
    with caplog.at_level(logging.WARNING, logger="rb_litellm"):
        monkeypatch.setattr(Sums, "fails", RedisError("no room"))
        await flushed(sums, tallies, UP, 3 * TOLD_AFTER)
        monkeypatch.setattr(Sums, "fails", None)
        await flushed(sums, tallies, UP, 3)
    told = [record.getMessage() for record in caplog.records]
    assert [("cannot share" in line, line.endswith("again")) for line in told] == [
        (True, False),
        (False, True),
    ]
    assert all(record.exc_info is None for record in caplog.records)


async def test_a_fault_of_our_own_is_counted_as_one(worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sums, tallies, internal = worker
    monkeypatch.setattr(Sums, "fails", fault := KeyError("x"))
    await flushed(sums, tallies, UP)
    assert (internal, tallies.errors) == ([fault], 0)
