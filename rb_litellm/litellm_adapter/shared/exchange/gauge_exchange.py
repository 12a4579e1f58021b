"""The exchange of loads with the other workers, as the runtime runs it: which Redis, and from when on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from rb_litellm.config import RedisSettingsArgs
from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.exchange.publisher import ExchangeStatus, GaugePublisher
from rb_litellm.state.exchange.redis.settings import RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore
from rb_litellm.state.exchange.shared import (
    FailureShare,
    GradeShare,
    LearnedShare,
    PrefixShare,
    TargetShare,
    UsageShare,
)
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger

_PATIENCE_S = 1.0
"""LiteLLM attaches its Redis to a Router some moments after building it."""
_log = logging.getLogger("rb_litellm")


class Sharing:
    """One publisher per process, replaced when the Redis settings change."""

    def __init__(
        self,
        index: DeploymentIndex,
        ledger: Ledger,
        prefixes: PrefixShare | None = None,
        usage: UsageShare | None = None,
        learned: LearnedShare | None = None,
        failures: FailureShare | None = None,
    ) -> None:
        self.peers = Peers(index)
        self._index = index
        self._ledger = ledger
        self._prefixes = prefixes
        self.learned = learned
        self.grades: GradeShare | None = None
        self.judges: GradeShare | None = None
        self.targets: TargetShare | None = None
        self.failures = failures
        """What else workers share, from the next start on."""
        self._usage = usage
        self._args = RedisSettingsArgs()
        self._router: Any = None
        self._settings: RedisSettings | None = None
        self._publisher: GaugePublisher | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: set[asyncio.Task[None]] = set()

    def configure(self, args: RedisSettingsArgs, router: Any) -> None:
        """Use these settings from the next start on; the start itself follows shortly, or at the next pick.

        Raises:
            SettingsError: the Redis that is named cannot be understood.
        """
        RedisSettings.resolve(args, litellm_redis(router), os.environ)
        self._args, self._router, self._loop = args, router, None
        # The SDK builds Routers outside of any loop.
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().call_later(_PATIENCE_S, self.ensure_started)

    def ensure_started(self) -> None:
        """Run the exchange in this loop, unless it runs already in a loop that is alive. Never raises."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._loop = running
        try:
            settings = RedisSettings.resolve(self._args, litellm_redis(self._router), os.environ)
            if self._publisher is None or settings != self._settings:
                self._replace(settings, running)
            if self._publisher is not None:
                self._publisher.start()
        except Exception:  # noqa: BLE001  without an exchange every worker goes by its own load
            _log.exception("RouteBalance: the exchange with other workers could not be started")

    @property
    def redis(self) -> RedisSettings | None:
        """The Redis by which workers exchange their loads; None for none."""
        return self._settings

    @property
    def origin(self) -> str:
        """This worker's name among the others."""
        return f"pid-{os.getpid()}" if self._publisher is None else self._publisher.origin

    @property
    def interval_s(self) -> float:
        """Between two exchanges."""
        return self._args.interval_ms / 1000.0

    @property
    def shown(self) -> str:
        """The Redis that loads are shared through, as it may be shown; empty for a worker alone."""
        return "" if self._settings is None else self._settings.shown

    def status(self) -> ExchangeStatus | None:
        """How the exchange stands; None before the first start."""
        return None if self._publisher is None else self._publisher.status()

    def age_s(self, now: float) -> float | None:
        """Since the last update from other workers, in s; None for a worker that never had one."""
        silence_s = self.peers.silence_s(now)
        return silence_s if silence_s < math.inf else None

    def _replace(self, settings: RedisSettings | None, loop: asyncio.AbstractEventLoop) -> None:
        if self._publisher is not None:
            closing = loop.create_task(self._publisher.stop())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._settings = settings
        self._publisher = GaugePublisher(
            self._index,
            self._ledger,
            self.peers,
            None if settings is None else RedisStore(settings),
            interval_s=self._args.interval_ms / 1000.0,
            ttl_s=self._args.ttl_s,
            shown="" if settings is None else settings.shown,
            prefixes=self._prefixes,
            learned=self.learned,
            grades=self.grades,
            judges=self.judges,
            usage=self._usage,
            failures=self.failures,
            targets=self.targets,
            driven=partial(LOOP_HOLDS.driven, "exchange"),
        )


def litellm_redis(router: Any) -> Mapping[str, Any]:
    """The connection settings of the Redis that LiteLLM itself uses, empty without one."""
    cache = getattr(getattr(router, "cache", None), "redis_cache", None)
    return dict(getattr(cache, "redis_kwargs", None) or {})
