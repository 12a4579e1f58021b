"""Sums of a fleet in Redis that may not pass a bound: what all workers together spend and do.

    rb:1:{NAMESPACE}:sum:NAME          a sum, gone when its TTL passes

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
        self._prefix = f"rb:{WIRE_VERSION}:{{{settings.namespace}}}:sum"
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn = asyncio.Lock()
        self._spend = Script("spend.lua")

    async def add(self, name: str, amount: float, most: float | None, ttl_s: float) -> bool:
        """Add to the sum unless it would pass `most`; False where it would.

        Raises:
            OSError, redis.RedisError, TimeoutError: as the connection or the server has it.
        """
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections and locks belong to an event loop.
            self._client, self._loop, self._turn = connect(self.settings), loop, asyncio.Lock()
        bound = "" if most is None else f"{most:.10f}"
        args = (f"{amount:.10f}", bound, str(round(ttl_s * 1000)))
        async with self._turn:
            return bool(await self._spend.run(self._client, [f"{self._prefix}:{name}"], args))

    async def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        client, self._client, loop, self._loop = self._client, None, self._loop, None
        if client is not None and loop is asyncio.get_running_loop():
            await client.aclose()
