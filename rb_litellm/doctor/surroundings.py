"""What a proxy with this configuration would depend on: the installed LiteLLM, Redis, the clocks."""

from __future__ import annotations

import asyncio
import math
import os
import re
import time
from collections.abc import Iterator
from importlib.metadata import requires, version
from statistics import median
from typing import Any

from packaging.requirements import Requirement
from redis.exceptions import NoPermissionError

from rb_litellm.config import RedisSettingsArgs, SettingsError
from rb_litellm.doctor.configuration import Configuration
from rb_litellm.doctor.finding import Finding, error, ok, warn
from rb_litellm.litellm_adapter.hosts.choose import FIRST_UNSEEN
from rb_litellm.litellm_adapter.hosts.host import UnsupportedLiteLLM, current
from rb_litellm.litellm_adapter.register import register
from rb_litellm.state.exchange.overview import overview
from rb_litellm.state.exchange.redis.settings import CLUSTER_RIGHTS, NEEDED_RIGHTS, RedisSettings
from rb_litellm.state.exchange.redis.store import RedisStore, connect
from rb_litellm.state.exchange.wire import NOTHING

_PINGS = 7
_NO_RIGHT = ("can't run this command", "can't access", "ACL failure")
"""What Redis says of a script that did what its user may not."""
_NEEDED = (6, 2)
"""The oldest release of Redis that will do."""
_SLOW_MS = 20.0
"""A slower Redis still keeps no request waiting, but the load known through it is older."""
_SKEW_S = 2.0


def check_litellm() -> Iterator[Finding]:
    """Whether the strategy fits into the installed LiteLLM."""
    installed = version("litellm")
    wanted = next(r for r in map(Requirement, requires("rb_litellm") or ()) if r.name == "litellm")
    remedy = f"pip install 'litellm{wanted.specifier}'"
    try:
        register()
    except UnsupportedLiteLLM as refusal:
        yield error("litellm", str(refusal), remedy)
        return
    if not wanted.specifier.contains(installed, prereleases=True):
        yield warn("litellm", f"{installed} is outside of the range {wanted.specifier}", remedy)
    elif limits := current().limits:
        yield warn(
            "litellm",
            f"{installed} is served through its public entry points alone: {' '.join(limits)}",
            f"for all of it: pip install 'litellm<{FIRST_UNSEEN.base_version}', or a newer rb_litellm",
        )
    else:
        yield ok("litellm", f"{installed} is supported")


def check_redis(config: Configuration) -> Iterator[Finding]:
    """Whether workers can share their load, how fast, and whether the clocks agree."""
    stated = [s.settings.redis for s in config.strategies if "redis" in s.settings.model_fields_set]
    arguments = stated[-1] if stated else RedisSettingsArgs()
    cache = (config.content.get("litellm_settings") or {}).get("cache_params") or {}
    try:
        settings = RedisSettings.resolve(arguments, {**cache, **config.router}, os.environ)
    except SettingsError as wrong:
        yield error("redis", str(wrong), "correct it")
        return
    if settings is None:
        missing = "none is set up" if arguments.enabled else "redis.enabled is false"
        workers = os.environ.get("NUM_WORKERS", "").strip()
        if workers.isdigit() and int(workers) > 1:
            yield error(
                "redis",
                f"{missing}, and NUM_WORKERS starts {workers} workers: each knows its own load only",
                "name one (router_settings.redis_host or redis.url), or run one worker",
            )
            return
        yield warn(
            "redis",
            missing,
            "nothing to do for one worker; with more, name one (router_settings.redis_host or redis.url): "
            "without it each worker knows its own load only",
        )
        return
    try:
        yield from asyncio.run(_ask(settings))
    except Exception as failure:  # noqa: BLE001  whatever it fails with is the finding
        if isinstance(failure, NoPermissionError) or any(said in str(failure) for said in _NO_RIGHT):
            rights = NEEDED_RIGHTS + (CLUSTER_RIGHTS if settings.cluster_nodes else "")
            yield error(
                "redis",
                f"{settings.shown} does not let its user do all that is needed: {failure}",
                f"ACL SETUSER NAME {rights}; until then each worker uses its own load alone",
            )
            return
        yield error(
            "redis",
            f"{settings.shown} cannot be used: {type(failure).__name__}: {failure}",
            "start it, or correct its address and password; until then each worker uses its own load alone",
        )


async def _ask(settings: RedisSettings) -> list[Finding]:
    client = connect(settings)
    store = RedisStore(settings)
    try:
        times = []
        # The command that the scripts need as well: a user of few rights may not be permitted to ping.
        for _ in range(_PINGS):
            before, asked = time.perf_counter(), time.time()
            seconds, microseconds = await client.time()
            skew_s = seconds + microseconds / 1e6 - (asked + time.time()) / 2.0
            times.append((time.perf_counter() - before) * 1000.0)
        found = [*_latency(settings, await _release(client), median(times)), *_clock(skew_s)]
        # Tells a load and takes it away, as a worker does: scripts and keys must be permitted.
        await store.exchange("doctor", NOTHING, 1.0)
        await store.remove("doctor")
        found.extend(_fleet(overview(await store.read()), settings))
        return found
    finally:
        await store.close()
        await client.aclose()


async def _release(client: Any) -> str | None:
    """The server's release; None where its user may not ask."""
    try:
        info = await client.info("server")
    except NoPermissionError:
        return None
    return str(info.get("redis_version") or next(iter(info.values())).get("redis_version", "?"))


def _latency(settings: RedisSettings, release: str | None, ping_ms: float) -> Iterator[Finding]:
    told = re.match(r"(\d+)\.(\d+)", release or "")
    if told and (int(told[1]), int(told[2])) < _NEEDED:
        needed = ".".join(map(str, _NEEDED))
        yield error(
            "redis", f"{settings.shown} is Redis {release}", f"use Redis {needed} or later, or Valkey"
        )
    known = "release unknown" if release is None else f"Redis {release}"
    line = f"{settings.shown} ({known}) answers in {ping_ms:.2f} ms"
    if ping_ms > _SLOW_MS:
        yield warn("redis", line, "use a nearer one: no request waits for it, but load is known later")
    else:
        yield ok("redis", line)


def _clock(skew_s: float) -> Iterator[Finding]:
    if abs(skew_s) > _SKEW_S or not math.isfinite(skew_s):
        yield warn(
            "clock",
            f"Redis's clock is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} this machine's",
            "synchronise both (NTP): loads are aged by Redis's clock alone, but LiteLLM's windows are not",
        )
    else:
        yield ok("clock", f"this machine's and Redis's differ by {abs(skew_s) * 1000:.0f} ms")


def _fleet(seen: Any, settings: RedisSettings) -> Iterator[Finding]:
    if seen.unreadable:
        yield warn(
            "fleet",
            f"namespace {settings.namespace} has workers that cannot be read: {', '.join(seen.unreadable)}",
            "run one version of rb_litellm in a fleet, or give each fleet its own redis.namespace",
        )
    alive = len(seen.workers)
    yield ok("fleet", f"{alive} worker{'s' if alive != 1 else ''} alive in namespace {settings.namespace}")
