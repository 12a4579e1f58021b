"""Settings that change while the proxy runs: from LiteLLM's database or its file, in every worker.

LiteLLM looks at its database every so often, and at its file never. Here each worker looks at both every
LOOK_EVERY_S seconds and, when our part of them has changed, has LiteLLM apply it as its own updates do:
`Router.update_settings` builds new selectors and puts them in the place of the old at once, while requests
that wait are decided by the old. What is wrong is refused with its reason, and the old settings stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rb_litellm.litellm_adapter.hosts.host import current
from rb_litellm.litellm_adapter.hosts.settings.check import wrong_settings
from rb_litellm.litellm_adapter.hosts.settings.proxy import (
    apply_stored_settings,
    guard_stored_settings,
    offer_stored_settings,
    stored_settings,
)
from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigUnreadable, read_config
from rb_litellm.litellm_adapter.proxy.starting.preflight import mistakes_in, our_settings
from rb_litellm.litellm_adapter.shared.proxy_server import current_router, proxy_server
from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS
from rb_litellm.litellm_adapter.shared.upkeep.timers import PeriodicTask

LOOK_EVERY_S = 2.0
TRIES = 3
"""Looks at a file that cannot be read before it is told: it may be half written."""
_log = logging.getLogger("rb_litellm")


class HotReload:
    """One per process."""

    def __init__(self) -> None:
        self._timer = PeriodicTask(LOOK_EVERY_S, self._look, "reload")
        self._running: asyncio.Task[None] | None = None
        self._file: tuple[int, int] | None = None
        """Time and size of the file as it was read last, and of one that cannot be read."""
        self._unreadable: tuple[int, int] | None = None
        self._tried: tuple[int, int] | None = None
        self._tries = 0
        self._in_file: Mapping[str, Any] | None = None
        self._stored: object = None
        self._seen_stored = False
        self._failing = False

    def ensure_started(self) -> None:
        """Look in the running loop from now on. Cheap."""
        self._timer.ensure_started()

    def _look(self) -> None:
        # A database that is slow to answer must not be asked again meanwhile.
        if self._running is None or self._running.done():
            self._running = asyncio.get_running_loop().create_task(
                LOOP_HOLDS.driven("reload", self._reload())
            )

    async def _reload(self) -> None:
        try:
            server, router = proxy_server(), current_router()
            if server is None or router is None:
                return
            current().watch(router)
            guard_stored_settings(server, router)
            offer_stored_settings(server, router)
            path = getattr(server, "user_config_file_path", None)
            if isinstance(path, str):
                await self._from_file(router, Path(path))
            await self._from_database(server, router)
        except Exception:  # noqa: BLE001  the settings in force stay in force
            if not self._failing:
                _log.exception("RouteBalance: settings cannot be read; those in force stay")
            self._failing = True
            return
        if self._failing:
            _log.warning("RouteBalance: settings can be read again")
        self._failing = False

    async def _from_file(self, router: Any, path: Path) -> None:
        now = _as_it_is(path)
        if now is None or now in (self._file, self._unreadable):
            return
        try:
            # Reading one of hundreds of deployments takes longer than any request should wait.
            settings, found = await asyncio.to_thread(_read, path)
        except ConfigUnreadable as why:
            self._cannot_read(now, why)
            return
        first, self._file = self._file is None, now
        if first or settings == self._in_file:
            # The first look sees what the proxy was started with.
            self._in_file = settings
            return
        dropped = [name for name in self._in_file or () if name not in settings]
        self._in_file = settings
        if not found:
            found = [text for texts in wrong_settings(settings, None).values() for text in texts]
        if found:
            _log.error(
                "RouteBalance: %s is not taken over, the old settings stay:\n%s", path, "\n".join(found)
            )
            return
        if settings:
            router.update_settings(**settings)
        if dropped:
            _log.error(
                "RouteBalance: router_settings of %s no longer ask for `routebalance` (%s). A running proxy "
                "goes on with what it had there; restart it to change that.%s",
                path,
                ", ".join(name for name in dropped if name != "routing_strategy_args"),
                " Its other changes are in force." if settings else "",
            )
        else:
            _log.warning("RouteBalance: the changed settings of %s are in force", path)

    def _cannot_read(self, now: tuple[int, int], why: ConfigUnreadable) -> None:
        """The file as it is `now` may be half written: it is looked at again, and told if it stays so."""
        self._tries = self._tries + 1 if now == self._tried else 1
        self._tried = now
        if self._tries == TRIES:
            self._unreadable = now
            _log.error("RouteBalance: %s; the settings in force stay, and it is read when it changes", why)

    async def _from_database(self, server: Any, router: Any) -> None:
        stored = await stored_settings(server)
        if self._seen_stored and stored != self._stored:
            await apply_stored_settings(server, router)
        self._stored, self._seen_stored = stored, True


def _as_it_is(path: Path) -> tuple[int, int] | None:
    """Time and size of a file; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _read(path: Path) -> tuple[Mapping[str, Any], list[str]]:
    """Our settings in a configuration file, and what is wrong with it.

    Raises:
        ConfigUnreadable: naming the file and what is wrong with it.
    """
    config = read_config(path)
    return our_settings(config), mistakes_in(config)
