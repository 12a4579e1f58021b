"""Sums of a fleet in Redis that may not pass a bound: what all workers together spend and do.

    rb:1:{NAMESPACE}:sum:NAME          a sum, gone when its TTL passes
    rb:1:{NAMESPACE}:tally:NAME        a hash of worker -> its own part of a sum

The connection is one of its own, so that whoever counts here never makes the exchange of gauges wait.
"""

from __future__ import annotations

import asyncio
from typing import Any

from rb_litellm.state.exchange.gauges import WIRE_VERSION
from rb_litellm.state.exchange.redis.script import Script
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import connect


class RedisSums:
    """See the module. It connects at first use; calls of one worker come one after the other."""

    def __init__(self, settings: RedisSettings) -> None:
        self.settings = settings
        self._namespace = f"rb:{WIRE_VERSION}:{{{settings.namespace}}}"
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._spend = Script("spend.lua")
        self._tally = Script("tally.lua")

    async def add(self, name: str, amount: float, most: float | None, ttl_s: float) -> bool:
        """Add to the sum unless it would pass `most`; False where it would.

        Raises:
            OSError, redis.RedisError, TimeoutError: as the connection or the server has it.
        """
        self._connect()
        bound = "" if most is None else f"{most:.10f}"
        args = (f"{amount:.10f}", bound, str(round(ttl_s * 1000)))
        async with self._turn:
            return bool(await self._spend.run(self._client, [f"{self._namespace}:sum:{name}"], args))

    async def tell(self, name: str, origin: str, amount: float, ttl_s: float) -> float:
        """Leave what this worker has added up so far; the sum over all workers. Twice the same counts once.

        Raises:
            OSError, redis.RedisError, TimeoutError: as the connection or the server has it.
        """
        self._connect()
        args = (origin, f"{amount:.10f}", str(round(ttl_s * 1000)))
        async with self._turn:
            return float(await self._tally.run(self._client, [f"{self._namespace}:tally:{name}"], args))

    def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections and locks belong to an event loop.
            self._client, self._loop, self._turn = connect(self.settings), loop, asyncio.Lock()

    async def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        client, self._client, loop, self._loop = self._client, None, self._loop, None
        if client is not None and loop is asyncio.get_running_loop():
            await client.aclose()
