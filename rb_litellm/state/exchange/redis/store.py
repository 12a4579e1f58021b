"""Loads in Redis: each worker replaces its own share, and the totals of all are kept beside the shares.

Everything happens in one script a round trip, see `scripts/fleet.lua`: what a worker hears grows with the
deployments, not with workers times deployments. Keys carry a version and the namespace, and a hash tag that
keeps a fleet in one slot of a Redis Cluster:

    rb:2:{NAMESPACE}:meta              what the following belong to: generation, epoch, counts
    rb:2:{NAMESPACE}:slots             where each deployment stands in shares and totals
    rb:2:{NAMESPACE}:shares            what each worker last told, until its TTL has passed
    rb:2:{NAMESPACE}:alive             when that is
    rb:2:{NAMESPACE}:totals            the sum of the shares
    rb:2:{NAMESPACE}:notes, :told      what workers saw of what fails, prefixes they sent, and in what order
    rb:1:{NAMESPACE}:learned           latencies that workers have learned, by deployment; kept for an hour
    rb:1:{NAMESPACE}:grade_sums        sums of users' grades, by model and kind of prompt; kept for 90 days
    rb:1:{NAMESPACE}:grades            grades of calls whose worker has not taken them up yet,
    rb:1:{NAMESPACE}:grades_came       and since when
    rb:1:{NAMESPACE}:grade_exchanges   which of each worker's exchanges of them was the last
    rb:1:{NAMESPACE}:judge_...         the same four for how good judges are

Workers of the version before are met at their own keys, see `previous`. It works with Redis >= 6.2 and
Valkey, through redis-py's own clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
import redis.asyncio as redis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from rb_litellm.core.grade_sums import (
    LEAST,
    MAX_NAMES,
    OF_ABILITIES,
    SUMS_TTL_S,
    Grades,
    GradeSum,
    SumRule,
)
from rb_litellm.state.exchange.gauges import WIRE_VERSION as GAUGE_VERSION
from rb_litellm.state.exchange.gauges import StoredGauge
from rb_litellm.state.exchange.redis.previous import PreviousVersion
from rb_litellm.state.exchange.redis.reading import gauges_of, read_gauges
from rb_litellm.state.exchange.redis.script import Script
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.share import OwnShare, Slots, Totals, sent
from rb_litellm.state.exchange.store import MAX_LEARNED, Reading
from rb_litellm.state.exchange.wire import (
    COLUMN,
    MAX_NOTE_BYTES,
    SHARE_HEAD,
    WIRE_VERSION,
    Heard,
    Told,
    WorkerLoad,
    bounded,
)

_PARTS = ("meta", "slots", "shares", "alive", "totals", "notes", "told")
"""In the order in which `scripts/fleet.lua` names them."""
_OTHER_GENERATION, _TELL_ALL = 1, 2
"""Answers of `scripts/tell.lua`."""
_TRIES = 4
_CLOCK_SET_MS = 500.0
"""A server's clock that is off by more than that, round trip aside, was set."""
_NAMES_AT_ONCE = 2_000


class RedisStore:
    """Loads of one fleet (namespace) in one Redis. It connects at first use, with one connection."""

    kind = "redis"

    def __init__(self, settings: RedisSettings, clock: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._clock = clock
        fleet = f"{{{settings.namespace}}}"
        self._prefix = f"rb:{GAUGE_VERSION}:{fleet}"
        self._keys = [f"rb:{WIRE_VERSION}:{fleet}:{part}" for part in _PARTS]
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._share, self._slots, self._totals = OwnShare(), Slots(), Totals()
        self._previous = PreviousVersion(self._prefix, clock)
        self._names: Sequence[str] = ()
        self._note: bytes = b""
        self._note_is_new = False
        self._notes_heard = 0
        self._doubted = False
        self._ahead_ms: float | None = None
        """The server's clock before ours."""
        self._ttl_s = settings.ttl_s
        self._tell, self._take = Script("fleet.lua", "tell.lua"), Script("fleet.lua", "slots.lua")
        self._leave, self._look = Script("fleet.lua", "leave.lua"), Script("fleet.lua", "look.lua")
        self._grades = Script("grades.lua")

    async def exchange(self, origin: str, told: Told, ttl_s: float, workers: bool = False) -> Heard:
        """Tell what has changed of `origin`'s load, and get the sums of all others, in one round trip.

        Further round trips are made where a name has no slot yet, where the store has lost what was told, and
        while a worker of the version before is there.

        Raises:
            OSError, redis.RedisError, TimeoutError: the connection or the server failed.
        """
        client, self._ttl_s = self._connected(), ttl_s
        if told.names is not self._names:
            if told.names[: len(self._names)] != self._names:
                self._begin_anew()
            self._names = told.names
        if told.note is not None and len(told.note) <= MAX_NOTE_BYTES:
            self._note, self._note_is_new = told.note, True
        try:
            for _ in range(_TRIES):
                heard = await self._exchange_once(client, origin, told, ttl_s, workers)
                if heard is not None:
                    break
            else:
                raise RedisError(f"the store lost what was told {_TRIES} times in one exchange")
        except BaseException:
            # It is not known whether the share has arrived.
            self._share.forget()
            raise
        gauges = await self._previous.exchange(client, origin, told.gauge, ttl_s)
        return replace(heard, gauges=gauges)

    async def _exchange_once(
        self, client: Any, origin: str, told: Told, ttl_s: float, workers: bool
    ) -> Heard | None:
        missing = self._slots.missing(told.names)
        if missing or self._slots.generation is None:
            for first in range(0, max(len(missing), 1), _NAMES_AT_ONCE):
                names = list(missing[first : first + _NAMES_AT_ONCE])
                generation, slots = await self._take.run(client, self._keys, names)
                self._slots.given(generation, slots)
                if self._slots.generation is None:
                    self._begin_anew()
                    return None
        table, now_ms = bounded(told.table), self._clock() * 1000.0
        size = len(table)
        slots_of = self._slots.of(size)
        changed = self._share.changes(table, now_ms)
        number = _first_number() if self._share.number is None else (self._share.number + 1) & 0xFFFFFFFF
        answer = await self._tell.run(
            client,
            self._keys,
            [
                origin,
                str(round(ttl_s * 1000)),
                self._slots.generation or b"",
                "" if self._share.number is None else str(self._share.number),
                str(number),
                str(min(max(round(told.up_s), 0), 0xFFFFFFFF)),
                str(min(int(table[:, COLUMN.in_flight].sum()), 0xFFFFFFFF)),
                sent(slots_of, table, changed),
                self._note if self._note_is_new else b"",
                str(self._notes_heard),
                f"{self._totals.version:.0f}",
                "1" if workers else "",
                "1" if self._doubted else "",
            ],
        )
        if answer[0] == _OTHER_GENERATION:
            self._begin_anew()
            return None
        if answer[0] == _TELL_ALL:
            self._share.forget()
            return None
        ms, epoch_ms, count, version, length, chunks, notes, last_note, living, bad = answer[1:]
        ms, epoch_ms = float(ms), float(epoch_ms)
        self._share.arrived(table, changed, number, now_ms, ms, epoch_ms)
        self._server_clock(ms + epoch_ms, now_ms, self._clock() * 1000.0)
        self._totals.update(float(version), int(length), chunks)
        others, right = self._totals.others(slots_of, *self._share.rows(size), ms)
        self._note_is_new, self._notes_heard, self._doubted = False, int(last_note), not right
        return Heard(
            others,
            max(int(count) - 1, 0),
            tuple(
                StoredGauge(_text(name), float(age) / 1000.0, payload)
                for name, age, payload in zip(notes[::3], notes[1::3], notes[2::3], strict=True)
            ),
            _workers(living, ms + epoch_ms) if workers else None,
            unreadable=int(bad) + (not right),
        )

    def _server_clock(self, server_ms: float, before_ms: float, after_ms: float) -> None:
        """Tell everything anew where the server's clock was set, or another server took its place.

        Output tokens that are left stand as lines through the server's time: of one who set it back by an
        hour each open attempt would have an hour more to write, until it ends.
        """
        least_ms, most_ms = server_ms - after_ms, server_ms - before_ms
        ahead_ms = self._ahead_ms
        if ahead_ms is None or not least_ms - _CLOCK_SET_MS <= ahead_ms <= most_ms + _CLOCK_SET_MS:
            self._ahead_ms = (least_ms + most_ms) / 2.0
            if ahead_ms is not None:
                self._share.forget()

    def _begin_anew(self) -> None:
        self._slots.forget()
        self._share.forget()
        self._totals.forget()
        self._notes_heard, self._note_is_new = 0, bool(self._note)

    async def share_learned(self, told: Mapping[str, bytes], ttl_s: float) -> dict[str, bytes]:
        """Leave what this worker has learned in the fleet's hash, and get all of it.

        Raises:
            OSError, redis.RedisError, TimeoutError: as the connection or the server has it.
        """
        client, key = self._connected(), f"{self._prefix}:learned"
        try:
            usable = await client.hlen(key) <= MAX_LEARNED
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                raise
            usable = False
        if not usable:
            await client.delete(key)
        if told:
            await client.hset(key, mapping=dict(told))
        await client.pexpire(key, round(ttl_s * 1000))
        return {_text(name): payload for name, payload in (await client.hgetall(key)).items()}

    async def share_grades(self, told: Grades, rule: SumRule = OF_ABILITIES) -> Grades:
        """Add to the fleet's sums of grades and to grades of unknown calls, and get all, in one round trip.

        Raises:
            OSError, redis.RedisError, TimeoutError: as the connection or the server has it.
        """
        figures = (
            rule.half_life_s * 1e3,
            rule.most,
            LEAST,
            MAX_NAMES,
            SUMS_TTL_S * 1e3,
            rule.grades_ttl_s * 1e3,
        )
        sums, grades = await self._grades.run(
            self._connected(),
            [f"{self._prefix}:{name}" for name in (rule.sums, rule.grades, rule.exchanges, rule.came)],
            [
                *(f"{figure:.10g}" for figure in figures),
                told.worker,
                str(told.number),
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
        """Take `origin`'s load away."""
        client = self._connected()
        await self._leave.run(client, self._keys, [origin, str(round(self._ttl_s * 1000))])
        await self._previous.remove(client, origin)

    async def read(self) -> Reading:
        """All loads of the fleet, those of workers of the version before too; writes nothing."""
        client = self._connected()
        ms, now_ms, names, shares, unread = await self._look.run(client, self._keys, [])
        gauges, unreadable = gauges_of(float(ms), float(now_ms), names, shares)
        previous, damaged = read_gauges(await self._previous.read(client))
        return Reading((*gauges, *previous), (*unreadable, *map(_text, unread), *damaged))

    async def close(self) -> None:
        """Drop the connection; the next call makes a new one."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _connected(self) -> Any:
        # Connections belong to an event loop; in another loop the store connects anew.
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = connect(self._settings), loop
        return self._client


def connect(settings: RedisSettings) -> Any:
    """An asyncio client of redis-py for these settings; it connects at first use.

    Raises:
        RedisError: LiteLLM's own URL cannot be read.
    """
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
        # redis-py's client of a cluster knows fewer settings, and LiteLLM leaves out the others, too.
        for name in ("ssl_ca_path", "ssl_password"):
            security.pop(name, None)
        return RedisCluster(startup_nodes=nodes, **login, **security, **limits)
    if s.sentinel_nodes and s.service_name is not None:
        asked = {"password": s.sentinel_password, "socket_timeout": s.timeout_s}
        sentinel: Any = Sentinel(list(s.sentinel_nodes), sentinel_kwargs=asked)  # type: ignore[no-untyped-call]
        return sentinel.master_for(s.service_name, db=s.db, **login, **security, **limits)
    if s.url is not None:
        try:
            return redis.Redis.from_url(s.url, max_connections=2, **limits)
        except ValueError:
            # Its words repeat the part of a password that looks like a port.
            raise RedisError(
                "its URL cannot be read; in user and password @ / ? # are written %40 %2F %3F %23"
            ) from None
    return redis.Redis(
        host=s.host or "localhost", port=s.port, db=s.db, max_connections=2, **login, **security, **limits
    )


def _scores(told: Sequence[str]) -> dict[str, float]:
    """Grades by call id, out of a flat list; what is no grade is left out."""
    found = {}
    for call_id, text in zip(told[::2], told[1::2], strict=True):
        with contextlib.suppress(ValueError):
            if 0.0 <= (score := float(text)) <= 1.0:
                found[call_id] = score
    return found


def _workers(living: Sequence[bytes], now_ms: float) -> tuple[WorkerLoad, ...]:
    """Workers by name, out of names and heads of shares; without those that have none."""
    found = []
    for name, head in zip(living[::2], living[1::2], strict=True):
        if len(head) == SHARE_HEAD.itemsize:
            at_ms, _, up_s, in_flight = np.frombuffer(head, SHARE_HEAD)[0].tolist()
            if 0.0 <= at_ms <= now_ms + 1e6:
                found.append(WorkerLoad(_text(name), max(now_ms - at_ms, 0.0) / 1000.0, up_s, in_flight))
    return tuple(found)


def _first_number() -> int:
    return secrets.randbits(32)


def _text(name: bytes | str) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
