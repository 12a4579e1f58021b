"""Gauges in Redis: each worker writes its own key, with a TTL, and reads the others' in the same round trip.

Two workers never write the same key, except the set of names, which repairs itself. Keys carry a version and
the namespace, and a hash tag that keeps a fleet in one slot of a Redis Cluster:

    rb:1:{NAMESPACE}:workers           names of the workers
    rb:1:{NAMESPACE}:learned           latencies that workers have learned, by deployment; kept for an hour
    rb:1:{NAMESPACE}:grade_sums        sums of users' grades, by model and kind of prompt; kept for 90 days
    rb:1:{NAMESPACE}:grades            grades of calls whose worker has not taken them up yet
    rb:1:{NAMESPACE}:gauge:WORKER      that worker's gauge, gone when its TTL passes

It works with Redis >= 5 and Valkey, through redis-py's own clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import redis.asyncio as redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from rb_litellm.core.grade_sums import (
    GRADES_TTL_S,
    HALF_LIFE_S,
    LEAST,
    MAX_NAMES,
    MOST,
    SUMS_TTL_S,
    Grades,
    GradeSum,
)
from rb_litellm.state.exchange.gauges import WIRE_VERSION, StoredGauge
from rb_litellm.state.exchange.redis_settings import RedisSettings
from rb_litellm.state.exchange.store import MAX_LEARNED, MAX_PEERS


class Script:
    """A Lua script, sent in full only to a server that does not have it yet."""

    def __init__(self, name: str) -> None:
        self._source = (files("rb_litellm.state.exchange") / "scripts" / name).read_text("utf-8")
        self._sha: str | None = None

    async def run(self, client: Any, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """The script's answer."""
        if self._sha is not None:
            try:
                return await client.evalsha(self._sha, len(keys), *keys, *args)
            except NoScriptError:
                self._sha = None  # the server was restarted or flushed, or it is another one
        reply = await client.eval(self._source, len(keys), *keys, *args)
        self._sha = _sha1(self._source)
        return reply


class RedisStore:
    """Gauges of one fleet (namespace) in one Redis. It connects at first use, with one connection."""

    kind = "redis"

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._prefix = f"rb:{WIRE_VERSION}:{{{settings.namespace}}}"
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._known: list[str] = []
        self._exchange = Script("exchange.lua")
        self._read = Script("read.lua")
        self._grades = Script("grades.lua")

    async def exchange(self, origin: str, payload: bytes, ttl_s: float) -> list[StoredGauge]:
        """Write `origin`'s gauge and read those of the workers in the previous answer, in one round trip.

        Raises:
            OSError, redis.RedisError, TimeoutError: the connection or the server failed.
        """
        known = [name for name in self._known if name != origin]
        names, gauges, ages = await self._exchange.run(
            self._connected(),
            [f"{self._prefix}:workers", self._key(origin), *map(self._key, known)],
            [origin, str(round(ttl_s * 1000)), payload, *known],
        )
        self._known = sorted(_text(name) for name in names)[: MAX_PEERS + 1]
        return _stored_gauges(known, gauges, ages)

    async def share_learned(self, told: Mapping[str, bytes], ttl_s: float) -> dict[str, bytes]:
        """Leave what this worker has learned in the fleet's hash, and get all of it.

        Raises:
            OSError, redis.RedisError, TimeoutError: as the connection or the server has it.
        """
        client, key = self._connected(), f"{self._prefix}:learned"
        if await client.hlen(key) > MAX_LEARNED:
            await client.delete(key)
        if told:
            await client.hset(key, mapping=dict(told))
        await client.pexpire(key, round(ttl_s * 1000))
        return {_text(name): payload for name, payload in (await client.hgetall(key)).items()}

    async def share_grades(self, told: Grades) -> Grades:
        """Add to the fleet's sums of grades and to grades of unknown calls, and get all, in one round trip.

        Raises:
            OSError, redis.RedisError, TimeoutError: as the connection or the server has it.
        """
        rule = (HALF_LIFE_S * 1e3, MOST, LEAST, MAX_NAMES, SUMS_TTL_S * 1e3, GRADES_TTL_S * 1e3)
        sums, grades = await self._grades.run(
            self._connected(),
            [f"{self._prefix}:grade_sums", f"{self._prefix}:grades"],
            [
                *(f"{figure:.10g}" for figure in rule),
                str(len(told.sums)),
                *(part for name, one in told.sums.items() for part in (name, *(f"{f:.6g}" for f in one))),
                str(len(told.unknown)),
                *(part for call_id, score in told.unknown.items() for part in (call_id, f"{score:.6g}")),
                str(len(told.known)),
                *told.known,
            ],
        )
        read = [_text(one) for one in sums]
        return Grades(
            {
                name: GradeSum(float(count), float(scored), float(expected))
                for name, count, scored, expected in zip(*(read[i::4] for i in range(4)), strict=True)
            },
            _scores([_text(one) for one in grades]),
        )

    async def remove(self, origin: str) -> None:
        """Remove `origin`'s gauge."""
        client = self._connected()
        await client.delete(self._key(origin))
        await client.srem(f"{self._prefix}:workers", origin)

    async def read(self) -> list[StoredGauge]:
        """All gauges of the fleet; writes nothing."""
        client = self._connected()
        names = sorted(_text(name) for name in await client.smembers(f"{self._prefix}:workers"))
        if not names:
            return []
        gauges, ages = await self._read.run(client, [self._key(name) for name in names], [])
        return _stored_gauges(names, gauges, ages)

    async def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _key(self, origin: str) -> str:
        return f"{self._prefix}:gauge:{origin}"

    def _connected(self) -> Any:
        # Connections belong to an event loop; in another loop the store connects anew.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = connect(self._settings), loop
        return self._client


def connect(settings: RedisSettings) -> Any:
    """An asyncio client of redis-py for these settings; it connects at first use."""
    s = settings
    limits: dict[str, Any] = {
        "socket_timeout": s.timeout_s,
        "socket_connect_timeout": s.timeout_s,
        # Retrying is the publisher's business: it knows how long to wait.
        "retry": Retry(NoBackoff(), 0),
    }
    login: dict[str, Any] = {"username": s.username, "password": s.password}
    security: dict[str, Any] = {"ssl": True, **dict(s.ssl_options)} if s.ssl else {}
    if s.cluster_nodes:
        nodes = [ClusterNode(host, port) for host, port in s.cluster_nodes]
        return RedisCluster(startup_nodes=nodes, **login, **security, **limits)
    if s.sentinel_nodes and s.service_name is not None:
        asked = {"password": s.sentinel_password, "socket_timeout": s.timeout_s}
        sentinel: Any = Sentinel(list(s.sentinel_nodes), sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
        return sentinel.master_for(s.service_name, db=s.db, **login, **security, **limits)
    if s.url is not None:
        return redis.Redis.from_url(s.url, max_connections=2, **limits)
    return redis.Redis(
        host=s.host or "localhost", port=s.port, db=s.db, max_connections=2, **login, **security, **limits
    )


def _stored_gauges(
    names: Sequence[str], gauges: Sequence[bytes | None], ages: Sequence[bytes]
) -> list[StoredGauge]:
    return [
        StoredGauge(name, float(age) / 1000.0 if age else math.nan, payload)
        for name, payload, age in zip(names, gauges, ages, strict=True)
        if payload is not None
    ]


def _scores(told: Sequence[str]) -> dict[str, float]:
    """Grades by call id, out of a flat list; what is no grade is left out."""
    found = {}
    for call_id, text in zip(told[::2], told[1::2], strict=True):
        with contextlib.suppress(ValueError):
            if 0.0 <= (score := float(text)) <= 1.0:
                found[call_id] = score
    return found


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


def _sha1(source: str) -> str:
    from hashlib import sha1

    return sha1(source.encode(), usedforsecurity=False).hexdigest()
