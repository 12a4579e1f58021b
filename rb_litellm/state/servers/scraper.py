"""Reads `/metrics` of self-hosted servers in the background, for load that does not pass through here.

A server that does not answer is asked less and less often (exponential backoff). It delays neither requests,
which never wait for a scrape, nor the other servers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from random import Random
from time import monotonic

from rb_litellm.redaction import one_line, shown_address, without_secrets
from rb_litellm.state.reckoning import Reckoner
from rb_litellm.state.servers.external_load import ExternalLoad
from rb_litellm.state.servers.facts import facts_url, stated_slots, stated_window
from rb_litellm.state.servers.metrics import MetricsError, ServerLoad, read_metrics

MAX_SERVERS = 2_048
"""Servers that are read at most: the first ones."""
MAX_BYTES = 4 << 20
"""Bytes of one answer that are read."""
MAX_BACKOFF_S = 120.0
FACTS_EVERY_S = 60.0
_WITHOUT_METRICS = (404, 501)
"""Statuses of a server that is there and has no metrics. llama-server has them with `--metrics` alone."""
_AT_ONCE = 8
_LONG = 64 << 10
_TIMEOUT_S = 2.0
_log = logging.getLogger("rb_litellm")


@dataclass(slots=True)
class ServerStatus:
    """The state of reading one server."""

    url: str
    """Without what may be secret in it."""
    load: ServerLoad | None = None
    """The load that it reported last."""
    updated_s: float | None = None
    """When it reported that; monotonic seconds."""
    slots: float | None = None
    """Requests at once, as it states them."""
    window: int | None = None
    """Tokens of prompt and answer together, as it states them."""
    failures: int = 0
    """Failures in a row."""
    asked_s: float = -math.inf
    """When it was asked for its facts."""
    error: str | None = None
    due_s: float = 0.0


class Scraper:
    """Reads every server once per interval and updates `external` with the load that is not ours."""

    def __init__(
        self,
        reckoner: Reckoner,
        external: ExternalLoad,
        targets: Callable[[], Mapping[str, str]],
        *,
        told: Callable[[Sequence[str], ServerStatus], None] = lambda *_: None,
        interval_s: float = 5.0,
        fetch: Callable[[str], Awaitable[str]] | None = None,
        clock: Callable[[], float] = monotonic,
        random: Random | None = None,
    ) -> None:
        """`targets()` returns the metrics URL by deployment id; `fetch` reads one (over HTTP by default).

        `told(deployments, server)` is called with what one of them has told.
        """
        self._reckoner = reckoner
        self._external = external
        self._targets = targets
        self._told = told
        self._interval_s = interval_s
        self._fetch = fetch or _get
        self._clock = clock
        self._random = random or Random()
        self._servers: dict[str, ServerStatus] = {}
        self._url_of: dict[str, str] = {}
        self._task: asyncio.Task[None] | None = None
        external.interval_s = interval_s

    def start(self) -> None:
        """Run in the background of the running event loop; does nothing if it already runs."""
        if self._task is None or self._task.done() or self._task.get_loop().is_closed():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="routebalance-scrape")

    async def stop(self) -> None:
        """Stop reading."""
        task, self._task = self._task, None
        if task is not None and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def status(self) -> tuple[ServerStatus, ...]:
        """The state of every server that is read."""
        return tuple(self._servers.values())

    def answered(self, deployment: str) -> None:
        """A request to the deployment went well: its server is there, and is read again at the next look."""
        server = self._servers.get(self._url_of.get(deployment, ""))
        if server is not None and server.failures:
            server.due_s = min(server.due_s, self._clock())

    async def step(self) -> None:
        """Read the servers that are due; raises nothing except when cancelled."""
        deployments = self._by_server()
        now = self._clock()
        due = [url for url in deployments if self._servers[url].due_s <= now]
        gate = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._read(url, deployments[url], gate) for url in due))

    async def _run(self) -> None:
        while True:
            try:
                await self.step()
            except Exception:  # noqa: BLE001  reading servers is optional, routing is not
                _log.exception("RouteBalance: the metrics of servers could not be read")
            # Each server is due at its own time; check often enough to spread the reads.
            await asyncio.sleep(self._interval_s / 4.0)

    def _by_server(self) -> dict[str, list[str]]:
        deployments: dict[str, list[str]] = {}
        for deployment, url in islice(self._targets().items(), MAX_SERVERS):
            deployments.setdefault(url, []).append(deployment)
        self._url_of = {of: url for url, its in deployments.items() for of in its}
        self._servers = {
            url: self._servers.get(url) or ServerStatus(shown_address(url)) for url in deployments
        }
        return deployments

    async def _read(self, url: str, deployments: list[str], gate: asyncio.Semaphore) -> None:
        server = self._servers[url]
        async with gate:
            try:
                text = await asyncio.wait_for(self._fetch(url), _TIMEOUT_S)
                # Reading a long answer takes a while; requests go on meanwhile.
                load = (
                    read_metrics(text) if len(text) < _LONG else await asyncio.to_thread(read_metrics, text)
                )
            except Exception as error:  # noqa: BLE001  a dead server is skipped
                self._failed(server, error)
                if getattr(error, "status", None) in _WITHOUT_METRICS:
                    await self._ask_facts(url, server, "")
                    self._told(deployments, server)
                return
            await self._ask_facts(url, server, load.engine)
        now = self._clock()
        rows = [self._reckoner.row(deployment) for deployment in deployments]
        known = self._reckoner.known(now).in_flight[rows].sum()
        self._external.update(rows, load, float(known), now)
        if server.failures:
            _log.warning("RouteBalance: %s can be read again", server.url)
        server.load, server.updated_s, server.failures, server.error = load, now, 0, None
        server.slots = load.slots or server.slots
        self._told(deployments, server)
        server.due_s = now + self._interval_s * self._random.uniform(0.8, 1.0)

    async def _ask_facts(self, url: str, server: ServerStatus, engine: str) -> None:
        """What the server states of itself, now and then; nothing where it does not answer."""
        where = facts_url(url, engine)
        # After a failure it may be another server.
        lately = not server.failures and self._clock() - server.asked_s < FACTS_EVERY_S
        if where is None or lately:
            return
        server.asked_s = self._clock()
        with contextlib.suppress(Exception):
            told = await asyncio.wait_for(self._fetch(where), _TIMEOUT_S)
            server.slots, server.window = stated_slots(told), stated_window(told)

    def _failed(self, server: ServerStatus, error: Exception) -> None:
        server.failures += 1
        # When it is there again, it may be another server.
        server.load = server.window = None
        server.error = one_line(without_secrets(f"{type(error).__name__}: {error}".rstrip(": ")))
        pause = min(self._interval_s * 2.0 ** min(server.failures, 10), MAX_BACKOFF_S)
        server.due_s = self._clock() + pause * self._random.uniform(0.8, 1.0)
        if server.failures == 1:
            _log.warning(
                "RouteBalance: %s cannot be read (%s); external load there is not seen",
                server.url,
                server.error,
            )


async def _get(url: str) -> str:
    import aiohttp

    # A small compressed answer may be a large one.
    plain = {"Accept-Encoding": "identity"}
    async with (
        aiohttp.ClientSession(auto_decompress=False, headers=plain) as session,
        session.get(url, allow_redirects=False) as answer,
    ):
        answer.raise_for_status()
        if (encoding := answer.headers.get("Content-Encoding", "identity").lower()) != "identity":
            raise MetricsError(f"the answer is encoded ({encoding[:32]!r})")
        body = bytearray()
        while chunk := await answer.content.read(MAX_BYTES - len(body)):
            body += chunk
            if len(body) >= MAX_BYTES:
                break
        if len(body) >= MAX_BYTES:
            # The last line may be cut in a number, which would be read as another number.
            del body[body.rfind(b"\n") + 1 :]
        return body.decode("utf-8", "replace")
