"""Workers of the version before, for one release: each of their gauges is read, and they are given ours.

That version wrote one key per worker and read those of all others. Where such a worker is there, this one
tells its load in that way too, under a name with OURS at its end; gauges of such names are not read, because
those workers stand in the totals. While there is none, it costs one short command every LOOKED_S.

    rb:1:{NAMESPACE}:workers           names of the workers
    rb:1:{NAMESPACE}:gauge:WORKER      that worker's gauge, gone when its TTL passes
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rb_litellm.state.exchange.gauges import StoredGauge
from rb_litellm.state.exchange.redis.script import Script
from rb_litellm.state.exchange.store import MAX_PEERS

OURS = "~2"
LOOKED_S = 1.0
"""Between two looks whether there is such a worker."""


class PreviousVersion:
    """The keys of the version before; `prefix` is what they begin with."""

    def __init__(self, prefix: str, clock: Callable[[], float]) -> None:
        self._prefix = prefix
        self._clock = clock
        self._known: list[str] = []
        self._looked_s = -math.inf
        self._exchange = Script("exchange_1.lua")
        self._read = Script("read_1.lua")

    async def exchange(
        self, client: Any, origin: str, gauge: Callable[[], bytes], ttl_s: float
    ) -> tuple[StoredGauge, ...]:
        """Gauges of workers of that version; `gauge` is given to them, if there are any.

        Raises:
            OSError, redis.RedisError, TimeoutError: the connection or the server failed.
        """
        if not self._known:
            if self._clock() - self._looked_s < LOOKED_S:
                return ()
            self._looked_s = self._clock()
            self._known = await self._names(client)
        if not self._known:
            return ()
        known = self._known
        names, gauges, ages = await self._exchange.run(
            client,
            [f"{self._prefix}:workers", self._key(origin + OURS), *map(self._key, known)],
            [origin + OURS, str(round(ttl_s * 1000)), gauge(), *known],
        )
        self._known = _theirs(names)
        return _stored(known, gauges, ages)

    async def read(self, client: Any) -> tuple[StoredGauge, ...]:
        """Their gauges; writes nothing.

        Raises:
            OSError, redis.RedisError, TimeoutError: the connection or the server failed.
        """
        names = await self._names(client)
        if not names:
            return ()
        gauges, ages = await self._read.run(client, [self._key(name) for name in names], [])
        return _stored(names, gauges, ages)

    async def remove(self, client: Any, origin: str) -> None:
        """Remove what `origin` has told them."""
        if self._looked_s > -math.inf:
            await client.delete(self._key(origin + OURS))
            if await client.type(f"{self._prefix}:workers") == b"set":
                await client.srem(f"{self._prefix}:workers", origin + OURS)

    async def _names(self, client: Any) -> list[str]:
        # What is no set holds no names.
        if await client.type(f"{self._prefix}:workers") != b"set":
            return []
        return _theirs(await client.srandmember(f"{self._prefix}:workers", 2 * MAX_PEERS))

    def _key(self, origin: str) -> str:
        return f"{self._prefix}:gauge:{origin}"


def _theirs(names: Sequence[bytes]) -> list[str]:
    told = (name.decode("utf-8", "replace") for name in names if len(name) <= 256)
    return sorted(name for name in told if not name.endswith(OURS))[:MAX_PEERS]


def _stored(
    names: Sequence[str], gauges: Sequence[bytes | None], ages: Sequence[bytes]
) -> tuple[StoredGauge, ...]:
    return tuple(
        StoredGauge(name, float(age) / 1000.0 if age else math.nan, payload)
        for name, payload, age in zip(names, gauges, ages, strict=True)
        if payload is not None
    )
