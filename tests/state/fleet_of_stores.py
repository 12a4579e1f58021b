"""Two workers on one store whose master goes away: what each hears of the other, and when again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import redis

from rb_litellm.state.exchange.redis.store import RedisStore
from tests.state.state_samples import told

WITHIN_S = 30.0


def until(true: Callable[[], bool]) -> None:
    """Wait for what a server does in its own time; AssertionError after 30 s."""
    deadline = time.monotonic() + WITHIN_S
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


async def heard(stores: Sequence[RedisStore]) -> list[int]:
    """Worker n tells 10**n attempts in flight; what it hears of the others."""
    found = [await store.exchange(f"w{n}", told(10**n), 60.0) for n, store in enumerate(stores)]
    return [int(one.table[0, 0]) for one in found]


async def heard_again(stores: Sequence[RedisStore]) -> list[int]:
    """What is heard once there is a master; connections that failed are dropped, as by the publisher."""
    deadline = time.monotonic() + WITHIN_S
    while (found := await _heard_or_nothing(stores)) is None:
        assert time.monotonic() < deadline, "no master in time"
        await asyncio.sleep(0.2)
    return found


async def _heard_or_nothing(stores: Sequence[RedisStore]) -> list[int] | None:
    try:
        return await heard(stores)
    except (redis.RedisError, OSError):
        for store in stores:
            await store.close()
        return None
