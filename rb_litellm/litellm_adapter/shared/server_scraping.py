"""The reading of servers' own metrics, as the runtime runs it: which servers, and from when on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rb_litellm.config import ScrapeSettings
from rb_litellm.litellm_adapter.shared.catalog import Catalog
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.reckoning import Reckoner
from rb_litellm.state.servers.external_load import ExternalLoad
from rb_litellm.state.servers.scraper import Scraper, ServerStatus

_log = logging.getLogger("rb_litellm")


class Scraping:
    """One scraper per process, or none where `scrape` is not set. Reads what has been routed to."""

    def __init__(
        self,
        index: DeploymentIndex,
        catalog: Catalog,
        external_load: ExternalLoad,
        told: Callable[[Sequence[str], ServerStatus], None] = lambda *_: None,
    ) -> None:
        """`told(deployments, server)` is called with what the server of these deployments has told."""
        self._told = told
        self._index = index
        self._catalog = catalog
        self._external_load = external_load
        self._router: Any = None
        self._settings: ScrapeSettings | None = None
        self._scraper: Scraper | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    def configure(self, settings: ScrapeSettings | None, router: Any) -> None:
        """Use these settings, and this router's deployments, from the next start on."""
        self._router = router
        if settings != self._settings:
            self._settings, self._loop = settings, None

    def ensure_started(self, reckoner: Reckoner) -> None:
        """Read servers in this loop, unless that runs already in a loop that is alive. Never raises."""
        if self._loop is not None and not self._loop.is_closed():
            return
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        try:
            if self._scraper is not None:
                stopping = self._loop.create_task(self._scraper.stop())
                self._stopping.add(stopping)
                stopping.add_done_callback(self._stopping.discard)
                self._scraper = None
            if self._settings is not None:
                self._scraper = Scraper(
                    reckoner,
                    self._external_load,
                    self._targets,
                    told=self._told,
                    interval_s=self._settings.interval_s,
                )
                self._scraper.start()
        except Exception:  # noqa: BLE001  reading servers is optional, routing is not
            _log.exception("RouteBalance: the reading of servers' metrics could not be started")

    def status(self) -> tuple[ServerStatus, ...]:
        """Every server that is read; none where `scrape` is not set."""
        return () if self._scraper is None else self._scraper.status()

    def answered(self, deployment: str) -> None:
        """A request to the deployment went well, so that its server can be read again at once."""
        if self._scraper is not None:
            self._scraper.answered(deployment)

    def _targets(self) -> Mapping[str, str]:
        entries = getattr(self._router, "model_list", None) or ()
        met = [entry for entry in entries if self._index.find(str(entry["model_info"]["id"])) is not None]
        return self._catalog.metrics_urls(met)
