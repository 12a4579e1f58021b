"""Checks of a running proxy: whether every worker has the strategy, what failed there, who may call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from rb_litellm.config import RouteBalanceSettings, SettingsError, parse_settings
from rb_litellm.doctor import keys, servers
from rb_litellm.doctor.configuration import Configuration
from rb_litellm.doctor.finding import Finding, error, ok, warn
from rb_litellm.telemetry.trouble import deployment_trouble, urgency

_TRIES = 60
"""Requests, each on a connection of its own, within which all workers are expected to have answered."""
_TRIES_ALONE = 15
"""Of these, where workers do not tell of each other."""
_TIMEOUT_S = 10.0
_SHOWN = 10
"""Deployments in trouble that are told one by one."""
_SKEW_S = 5.0
"""The header that tells the proxy's clock has whole seconds, and servers renew it when they come to it."""


def check(url: str, key: str | None, config: Configuration | None) -> Iterator[Finding]:
    """Findings on the proxy at `url`, asked with `key`; `config` is what it is supposed to run."""
    try:
        alive = httpx.get(f"{url}/health/liveliness", timeout=_TIMEOUT_S)
        alive.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as failure:
        yield error(
            "proxy",
            f"{url} does not answer: {type(failure).__name__}: {failure}",
            "start it, or correct --url",
        )
        return
    yield ok("proxy", f"{url} answers")
    yield from _clock(alive)
    seen, refusal = _ask_workers(url, key)
    if refusal is not None:
        yield refusal
    else:
        yield from _workers(seen)
        for name, status in sorted(seen.items()):
            yield from _worker(name, status)
        yield from _deployments(seen)
        yield from keys.check(url, _headers(key))
        if config is not None and seen:
            yield from _drift(config, next(iter(seen.values())))
    yield from _key(url, key, next(iter(seen.values()), None))


def _ask_workers(url: str, key: str | None) -> tuple[dict[str, Mapping[str, Any]], Finding | None]:
    """Status by worker, asked until every worker that they tell of has answered."""
    seen: dict[str, Mapping[str, Any]] = {}
    for tries in range(_TRIES):
        try:
            answer = httpx.get(f"{url}/routebalance/status", headers=_headers(key), timeout=_TIMEOUT_S)
        except httpx.HTTPError as failure:
            return seen, error(
                "workers", f"/routebalance/status: {type(failure).__name__}: {failure}", "see the proxy's log"
            )
        if answer.status_code != 200:
            return seen, _refused(answer.status_code, key)
        status = answer.json()
        seen[str(status["worker"])] = status
        exchange = status.get("exchange") or {}
        alone = exchange.get("mode") == "memory"  # such a worker knows of no others
        if len(seen) >= int(exchange.get("peers") or 0) + 1 and not (alone and tries < _TRIES_ALONE):
            break
    return seen, None


def _refused(code: int, key: str | None) -> Finding:
    if code == 404:
        return error(
            "workers",
            "a worker of this proxy has not loaded RouteBalance: it has no /routebalance/status",
            "start it with rb-litellm, or add rb_litellm.proxy to litellm_settings.callbacks",
        )
    return error(
        "workers",
        f"/routebalance/status refuses the key ({code})"
        if key
        else f"/routebalance/status wants a key, and none was given ({code})",
        "give a proxy admin's key: --key, LITELLM_MASTER_KEY or general_settings.master_key",
    )


def _workers(seen: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    expected = max((int((s.get("exchange") or {}).get("peers") or 0) + 1 for s in seen.values()), default=1)
    idle = sorted(name for name, status in seen.items() if not status["strategies"])
    if idle:
        yield error(
            "workers",
            f"RouteBalance routes nothing in {', '.join(idle)}: another strategy is set there",
            "set routing_strategy: routebalance in the configuration or in the Admin UI's Router Settings",
        )
    elif len(seen) < expected:
        yield warn(
            "workers",
            f"{len(seen)} of {expected} workers answered within {_TRIES} requests, all with RouteBalance",
            "run the doctor again; other proxies of the fleet answer at their own addresses",
        )
    else:
        yield ok("workers", f"RouteBalance is registered in every worker ({len(seen)})")
    alone = [name for name, s in seen.items() if (s.get("exchange") or {}).get("mode") == "memory"]
    if len(alone) > 1:
        yield error(
            "exchange",
            f"{len(alone)} workers run without Redis: each knows its own load only, and none the others'",
            "name a Redis (router_settings.redis_host or redis.url), or run one worker",
        )
    for what in ("version", "litellm"):
        if len(found := sorted({str(status[what]) for status in seen.values()})) > 1:
            name = "rb_litellm" if what == "version" else what
            yield warn(
                "workers",
                f"workers run different releases of {name}: {', '.join(found)}",
                "restart the older",
            )


def _worker(name: str, status: Mapping[str, Any]) -> Iterator[Finding]:
    yield from servers.check(name, status)
    exchange = status.get("exchange") or {}
    if exchange.get("mode") == "degraded":
        yield error(
            "exchange",
            f"{name} cannot reach its Redis: {exchange.get('error')}",
            "routing goes on by the worker's own load; bring Redis back",
        )
    failures = {kind: count for kind, count in (status.get("failures") or {}).items() if count}
    if failures:
        listed = ", ".join(f"{kind} {count}" for kind, count in sorted(failures.items()))
        yield warn(
            "failures",
            f"{name} has routed requests by the fallback rule or without a measurement: {listed}",
            "see its log for the cause, and report it",
        )


def _deployments(seen: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Deployments that fail or answer far slower than predicted, as any worker tells."""
    trouble: dict[str, list[str]] = {}
    for status in seen.values():
        for d in sorted((d for tier in status.get("tiers", ()) for d in tier["deployments"]), key=urgency):
            told = deployment_trouble(d)
            if told:
                trouble.setdefault(d.get("name", d["id"]), told)
    for name, told in list(trouble.items())[:_SHOWN]:
        yield error(
            "deployments",
            f"{name}: {'; '.join(told)}",
            "see the server's log; take it out of model_list if it shall not come back",
        )
    if len(trouble) > _SHOWN:
        yield error("deployments", f"{len(trouble) - _SHOWN} more are in trouble", "see the status page")
    total = sum(len(tier["deployments"]) for tier in next(iter(seen.values()), {}).get("tiers", ()))
    if total and not trouble:
        yield ok("deployments", f"none of {total} has failed of late")


def _drift(config: Configuration, status: Mapping[str, Any]) -> Iterator[Finding]:
    """Differences between the file and what runs."""
    running = {s["group"]: sorted(s["models"]) for s in status["strategies"]}
    written = {s.group: sorted(s.models) for s in config.strategies}
    if running != written:
        yield warn(
            "drift",
            f"the proxy runs {_groups(running)}, the file has {_groups(written)}",
            "restart the proxy, or look whether the Admin UI has saved other router settings",
        )
        return
    arguments = {s["group"]: s["arguments"] for s in status["strategies"]}
    differing = {s.group: _differing(s.settings, arguments[s.group]) for s in config.strategies}
    if any(differing.values()):
        told = "; ".join(
            f"{', '.join(names)} of {_name(group)}" for group, names in differing.items() if names
        )
        yield warn(
            "drift",
            f"the proxy runs with other settings than the file has: {told}",
            "see its log for why it has refused the file's, or whether the Admin UI has saved others",
        )
    else:
        yield ok("drift", "the proxy runs the groups and settings that the file has")


def _differing(written: RouteBalanceSettings, arguments: Mapping[str, Any]) -> list[str]:
    """Settings that differ from the file; Redis aside, whose address is not shown."""
    try:
        running = parse_settings({k: v for k, v in arguments.items() if k != "redis"}, "arguments")
    except SettingsError:  # of another release, which `workers` tells
        return []
    names = sorted(set(type(written).model_fields) - {"redis"})
    return [name for name in names if getattr(running, name) != getattr(written, name)]


def _groups(by_name: Mapping[str | None, list[str]]) -> str:
    if not by_name:
        return "no strategy of ours"
    return "; ".join(f"{_name(name)} [{', '.join(models)}]" for name, models in by_name.items())


def _name(group: str | None) -> str:
    return group or "the router itself"


def _key(url: str, key: str | None, status: Mapping[str, Any] | None) -> Iterator[Finding]:
    if key is None:
        return
    try:
        answer = httpx.get(f"{url}/v1/models", headers=_headers(key), timeout=_TIMEOUT_S)
    except httpx.HTTPError as failure:
        yield warn("access", f"/v1/models: {type(failure).__name__}: {failure}", "see the proxy's log")
        return
    if answer.status_code != 200:
        yield error("access", f"the key is refused ({answer.status_code})", "give a key of this proxy")
        return
    models = {str(model["id"]) for model in answer.json()["data"]}
    groups = [s["group"] for s in (status or {}).get("strategies", ()) if s["group"]]
    missing = sorted(set(groups) - models)
    if missing:
        yield warn(
            "access", f"the key may not call {', '.join(missing)}", "add the group to the key's models"
        )
    elif groups:
        yield ok("access", f"the key may call {', '.join(sorted(groups))}")


def _clock(answer: httpx.Response) -> Iterator[Finding]:
    told = answer.headers.get("date")
    if told is None:
        return
    skew_s = parsedate_to_datetime(told).timestamp() - time.time()
    if abs(skew_s) > _SKEW_S:
        yield warn(
            "clock", f"the proxy's clock is {skew_s:+.0f} s from this machine's", "synchronise both (NTP)"
        )


def _headers(key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"} if key else {}
