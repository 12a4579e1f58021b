"""The background exchange of loads with the other workers. No request ever waits for it.

There is one exchange per interval, earlier when the load has changed, and never more than ten a second; in a
large fleet fewer, see `schedule`.

A circuit breaker (Nygard, Release It!) spares a failing store. It opens after two failures in a row, or if
the very first exchange fails: one line is logged, the connection is dropped, and single exchanges are tried
at growing intervals, up to MAX_PAUSE_S of `schedule`. The first success closes it, with another
line. Nothing is queued meanwhile: a load describes the present, so only the latest one matters.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic
from typing import Any, Literal, Protocol, TypeVar
from uuid import uuid4

from rb_litellm.core.grade_sums import OF_ABILITIES, OF_JUDGES
from rb_litellm.redaction import one_line, without_secrets
from rb_litellm.state.exchange.gauges import Gauge, GaugeError, StoredGauge, decode, encode, wire_name
from rb_litellm.state.exchange.note import OwnNote
from rb_litellm.state.exchange.peers import Peers, Sums
from rb_litellm.state.exchange.rows import RowNames
from rb_litellm.state.exchange.schedule import pauses_s
from rb_litellm.state.exchange.shared import (
    FailureShare,
    GradeShare,
    LearnedShare,
    PrefixShare,
    TargetShare,
    UsageShare,
)
from rb_litellm.state.exchange.store import LoadStore
from rb_litellm.state.exchange.wire import Heard, Told, WorkerLoad
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger

LEARNED_EVERY_S = 10.0
"""Time between exchanges of what workers have learned; the first one follows the first exchange of gauges."""
LEARNED_TTL_S = 3600.0
"""It is kept for so long after all workers have ended."""
MAX_UNREADABLE = 1_000
"""Workers with an unreadable gauge that are remembered, to warn of each once."""
FEW = 4
"""So many other workers are asked for by name in every exchange;"""
NAMES_EVERY_S = 1.0
"""more of them this often."""

_log = logging.getLogger("rb_litellm")

T = TypeVar("T")
Mode = Literal["memory", "redis", "degraded"]
Breaker = Literal["closed", "open", "half-open"]
"""half-open: an exchange is tried while the breaker is open."""


@dataclass(frozen=True, slots=True)
class ExchangeStatus:
    """The state of the exchange with the other workers."""

    mode: Mode
    """memory: there is no other worker to exchange with; degraded: the store does not work at present."""
    breaker: Breaker
    origin: str
    peers: int
    """Number of other workers in the last answer."""
    alone: bool
    """Whether the peers' last gauges are too old to use, so that own load is multiplied for theirs."""
    age_s: float | None
    """Seconds since the last answer; None before the first."""
    exchanges: int
    failures: int
    error: str | None
    """The store's last error; None while it works."""
    unreadable: int = 0
    """Loads of others that could not be read, since the start."""


class Driven(Protocol):
    """Awaits a coroutine."""

    def __call__(self, work: Coroutine[Any, Any, T], /) -> Coroutine[Any, Any, T]:
        """What it returns."""
        ...


async def _as_it_is(work: Coroutine[Any, Any, T]) -> T:
    return await work


class GaugePublisher:
    """Tells the ledger's sums and passes those of the other workers to `peers`."""

    def __init__(
        self,
        index: DeploymentIndex,
        ledger: Ledger,
        peers: Peers,
        store: LoadStore | None,
        *,
        interval_s: float = 0.2,
        ttl_s: float = 5.0,
        timeout_s: float = 2.0,
        shown: str = "",
        prefixes: PrefixShare | None = None,
        usage: UsageShare | None = None,
        failures: FailureShare | None = None,
        learned: LearnedShare | None = None,
        grades: GradeShare | None = None,
        judges: GradeShare | None = None,
        targets: TargetShare | None = None,
        origin: str | None = None,
        clock: Callable[[], float] = monotonic,
        random: Random | None = None,
        driven: Driven = _as_it_is,
    ) -> None:
        """Without a `store` nothing is exchanged. `shown` names the store in logs.

        `driven` awaits a coroutine of the exchange; it may look how long that holds the event loop.

        `timeout_s` bounds one exchange, connecting included; the store's own timeouts are shorter.
        """
        self._index = index
        self._ledger = ledger
        self._peers = peers
        self._store = store
        self._interval_s = interval_s
        self._ttl_s = ttl_s
        self._timeout_s = timeout_s
        self._shown = shown
        self._prefixes = prefixes
        self._learned = learned
        self._grades = [(one, rule) for one, rule in ((grades, OF_ABILITIES), (judges, OF_JUDGES)) if one]
        self._learned_s = -math.inf
        self._targets = targets
        self._usage = usage
        self._outages = failures
        self._origin = origin or worker_name()
        self._clock = clock
        self._driven = driven
        self._random = random or Random()
        self._since_s = clock()
        self._task: asyncio.Task[None] | None = None
        self._degraded = False
        self._trying = False
        self._failed_in_a_row = 0
        self._exchanges = 0
        self._failures = 0
        self._last_s: float | None = None
        self._error: str | None = None
        self._published_changes = -1
        self._rows = RowNames(index)
        self._note = OwnNote(index)
        self._names_s = -math.inf
        self._unreadable: set[str] = set()
        self._skipped = 0
        peers.ttl_s = ttl_s

    @property
    def origin(self) -> str:
        """This worker's name among the others."""
        return self._origin

    def start(self) -> None:
        """Run in the background of the running event loop; does nothing if it already runs."""
        if self._store is None:
            return
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            if self._task is not None and not self._task.done() and not self._task.get_loop().is_closed():
                return  # another loop of this process runs it
            self._task = loop.create_task(self._run(), name="routebalance-gauges")

    async def stop(self) -> None:
        """End the exchange and take this worker's load away, so that it is gone at once."""
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._store is not None:
            with contextlib.suppress(Exception):
                if not self._degraded:
                    await asyncio.wait_for(self._store.remove(self._origin), self._timeout_s)
            await self._drop_connection()

    def status(self) -> ExchangeStatus:
        """The present state of the exchange."""
        mode: Mode = "redis"
        if self._store is None or self._store.kind == "memory":
            mode = "memory"
        breaker: Breaker = "closed"
        if self._degraded:
            mode, breaker = "degraded", "half-open" if self._trying else "open"
        return ExchangeStatus(
            mode=mode,
            breaker=breaker,
            origin=self._origin,
            peers=self._peers.count,
            alone=self._peers.alone(self._clock()),
            age_s=None if self._last_s is None else max(self._clock() - self._last_s, 0.0),
            exchanges=self._exchanges,
            failures=self._failures,
            error=self._error,
            unreadable=self._skipped,
        )

    async def step(self) -> bool:
        """Do one exchange and return whether it succeeded; raises nothing except when cancelled."""
        assert self._store is not None
        self._trying = True
        try:
            before = self._clock()
            self._published_changes = self._ledger.changes
            self._exchanges += 1
            told, names = self._told(before), self._asks_for_names(before)
            exchange = self._store.exchange(self._origin, told, self._ttl_s, names)
            heard = await asyncio.wait_for(self._driven(exchange), self._timeout_s)
            after = self._clock()
            self._hear(heard, (before + after) / 2.0)
            self._last_s = after
            if after - self._learned_s >= LEARNED_EVERY_S:
                self._learned_s = after
                await self._share_learned(self._store)
        except Exception as error:  # noqa: BLE001  whatever the store fails with, routing goes on
            self._failed(error)
            await self._drop_connection()
            return False
        finally:
            self._trying = False
        self._succeeded()
        return True

    async def _run(self) -> None:
        # A cancellation may be lost in `wait_for`, so the task also looks whether it is still the one.
        while self._task is asyncio.current_task():
            began = self._clock()
            await self._driven(self.step())
            rows = (self._peers.count + 1) * len(self._rows.names)
            soonest, latest = pauses_s(
                self._interval_s, self._failed_in_a_row, self._random, rows, self._ttl_s
            )
            await asyncio.sleep(max(began + soonest - self._clock(), 0.001))
            if self._ledger.changes == self._published_changes:
                await asyncio.sleep(max(began + latest - self._clock(), 0.0))

    def _told(self, now: float) -> Told:
        sums, rates, up_s = self._ledger.sums(now), self._ledger.decode_rates(), now - self._since_s
        prefixes = {} if self._prefixes is None else self._prefixes.recent(now)
        used = {} if self._usage is None else self._usage.recent(now)
        failing = {} if self._outages is None else self._outages.told(now)
        targets = {} if self._targets is None else self._targets.told()
        table = self._rows.table(sums, rates, used)
        return Told(
            self._rows.names,
            table,
            up_s,
            self._note.news(prefixes, failing, now, targets),
            lambda: encode(self._index, sums, rates, up_s, prefixes, used, failing),
        )

    def _asks_for_names(self, now: float) -> bool:
        asks = self._peers.count <= FEW or now - self._names_s >= NAMES_EVERY_S
        if asks:
            self._names_s = now
        return asks

    def _hear(self, heard: Heard, now: float) -> None:
        gauges, notes = self._readable(heard.gauges), self._readable(heard.notes)
        self._skipped += heard.unreadable
        loads, used = self._rows.loads(heard.table), self._rows.used(heard.table)
        self._peers.update(gauges, now, Sums(loads, used, heard.peers))
        for note in notes:
            self._peers.note(note, now)
        if heard.workers is not None:
            self._peers.know([*heard.workers, *(load_of(gauge) for gauge in gauges)])
        if self._targets is not None:
            self._targets.heard(notes)
        self._receive_prefixes([*gauges, *notes], now)

    async def _share_learned(self, store: LoadStore) -> None:
        if self._learned is not None:
            shared = store.share_learned(self._learned.tell(), LEARNED_TTL_S)
            self._learned.hear(await asyncio.wait_for(shared, self._timeout_s))
        for its, rule in self._grades:
            if its.on:
                told = its.tell()
                its.hear(told, await asyncio.wait_for(store.share_grades(told, rule), self._timeout_s))

    def _receive_prefixes(self, gauges: list[Gauge], now: float) -> None:
        if self._prefixes is None or not any(gauge.prefixes for gauge in gauges):
            return
        rows = {wire_name(id_): row for row, id_ in enumerate(self._index.ids)}
        for gauge in gauges:
            for name, names in gauge.prefixes.items():
                if name in rows:
                    self._prefixes.receive(names, rows[name], now - gauge.age_s)

    def _readable(self, stored: Sequence[StoredGauge]) -> list[Gauge]:
        return [gauge for gauge in map(self._decoded, stored) if gauge is not None]

    def _decoded(self, stored: StoredGauge) -> Gauge | None:
        try:
            return decode(stored)
        except GaugeError as error:
            self._skipped += 1
            if stored.origin not in self._unreadable and len(self._unreadable) < MAX_UNREADABLE:
                self._unreadable.add(stored.origin)
                _log.warning("RouteBalance: a worker's load is not counted: %s", error)
            return None

    def _succeeded(self) -> None:
        self._failed_in_a_row = 0
        self._error = None
        if self._degraded:
            self._degraded = False
            _log.warning("RouteBalance: %s answers again; workers share their load", self._shown)

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._failed_in_a_row += 1
        self._error = one_line(without_secrets(f"{type(error).__name__}: {error}".rstrip(": ")))
        # One slow answer is no outage, but a failure of the very first exchange is.
        if not self._degraded and (self._failed_in_a_row > 1 or self._last_s is None):
            self._degraded = True
            _log.warning(
                "RouteBalance: %s cannot be used (%s); this worker uses its own load alone, and keeps trying",
                self._shown,
                self._error,
            )

    async def _drop_connection(self) -> None:
        # A connection that failed may be in the middle of a reply.
        if self._store is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._store.close(), self._timeout_s)


def load_of(gauge: Gauge) -> WorkerLoad:
    """What a gauge says of its worker as a whole."""
    in_flight = sum(load.in_flight for load in gauge.loads.values())
    return WorkerLoad(gauge.origin, gauge.age_s, gauge.up_s, round(in_flight))


def worker_name() -> str:
    """A unique name: host, process id and a few random digits."""
    host = "".join(c if c.isalnum() or c in "-." else "-" for c in socket.gethostname())[:40]
    return f"{host}-{os.getpid()}-{uuid4().hex[:6]}"
