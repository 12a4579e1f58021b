"""Checks of the self-hosted servers behind the deployments: whether and as what they answer there.

All servers are asked a few cheap questions at once (`/models`, llama-server's `/props`); none generates.
What cannot be asked is no finding: most servers do not say how many slots they have.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from rb_litellm.core.fleet import Deployment
from rb_litellm.doctor.configuration import Configuration
from rb_litellm.doctor.finding import Finding, error, ok, warn
from rb_litellm.redaction import shown_address

MAX_SERVERS = 256
"""Servers that are asked: the first ones."""
_AT_ONCE = 16
_TIMEOUT_S = 3.0
_SHOWN = 6
_API = ("hosted_vllm/", "openai/", "vllm/", "litellm_proxy/", "lm_studio/", "llamafile/")
"""Providers that ask a server by OpenAI's API, below `api_base`."""


@dataclass(frozen=True, slots=True)
class _Server:
    base: str
    key: str | None
    members: tuple[Deployment, ...]


def check(config: Configuration) -> Iterator[Finding]:
    """Findings on the servers of the deployments that are routed; none where there are no servers."""
    servers = _servers(config)
    shared = list(_shared(config))
    found = [finding for finding in shared if finding.level != "ok"]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found += [finding for findings in threads.map(_ask, servers) for finding in findings]
    yield from (finding for finding in shared if finding.level == "ok")
    yield from found
    if servers and not found:
        one = len(servers) == 1
        yield ok("engines", "1 server answers" if one else f"{len(servers)} servers answer")


def _servers(config: Configuration) -> Sequence[_Server]:
    members: dict[str, list[Deployment]] = {}
    keys: dict[str, str | None] = {}
    for d in config.routed():
        base = config.api_base(d)
        if base is not None and d.model.startswith(_API):
            members.setdefault(base, []).append(d)
            keys.setdefault(base, config.api_key(d))
    return [_Server(base, keys[base], tuple(its)) for base, its in list(members.items())[:MAX_SERVERS]]


def _shared(config: Configuration) -> Iterator[Finding]:
    """Servers that several deployments are on, however their addresses are written."""
    members: dict[str, list[Deployment]] = {}
    for d in config.routed():
        if d.server:
            members.setdefault(d.server, []).append(d)
    for its in members.values():
        shown = shown_address(config.api_base(its[0]) or its[0].server)
        by_model = Counter(d.model for d in its)
        for model, count in by_model.items():
            if count > 1:
                yield warn(
                    "engines",
                    f"{count} deployments of {model} are one server, {shown}: they "
                    "share its load and slots, and none is more of it",
                    "list each server once; for several names of one model use model_group_alias",
                )
        if len(by_model) > 1:
            told = ", ".join(list(by_model)[:_SHOWN]) + (", ..." if len(by_model) > _SHOWN else "")
            yield ok(
                "engines",
                f"{shown} is one server for {len(by_model)} models ({told}): their deployments share its "
                "load and slots",
            )


def _ask(server: _Server) -> list[Finding]:
    shown, names = shown_address(server.base), ", ".join(dict.fromkeys(d.group for d in server.members))
    try:
        status = _get(server, f"{server.base.rstrip('/')}/models").status_code
        if status == 404 and _get(server, f"{server.base.rstrip('/')}/v1/models").status_code == 200:
            return [
                error(
                    "engines",
                    f"{shown} ({names}) has no API there, but at {shown.rstrip('/')}/v1",
                    f"set api_base: {shown.rstrip('/')}/v1",
                )
            ]
        if status in (401, 403):
            return [error("engines", f"{shown} ({names}) refuses the key ({status})", "correct api_key")]
        if status >= 500:
            return [warn("engines", f"{shown} ({names}) answers with {status}", "see the server's log")]
        return list(_slots(server, shown))
    except httpx.ConnectError as failure:
        if _unknown_host(server.base):
            return [
                warn(
                    "engines",
                    f"{shown} ({names}): this machine does not know the host",
                    "run the doctor where the proxy runs, or correct api_base",
                )
            ]
        return [
            error(
                "engines",
                f"nobody listens at {shown} ({names}): {failure}",
                "start the server, or correct api_base",
            )
        ]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as failure:
        told = f"{type(failure).__name__}: {failure}".rstrip(": ")
        return [
            error(
                "engines",
                f"{shown} ({names}) gives no answer within {_TIMEOUT_S:g} s ({told})",
                "see whether the server hangs, or whether a firewall is between",
            )
        ]


def _slots(server: _Server, shown: str) -> Iterator[Finding]:
    told = _told_slots(server)
    if told is None:
        return
    for d in server.members:
        if d.prior.slots != told:
            yield warn(
                "engines",
                f"{shown} has {told} slots, and {d.group} is taken to have {d.prior.slots:g}",
                f"set model_info.routebalance.max_num_seqs: {told}",
            )


def _told_slots(server: _Server) -> int | None:
    """Slots as llama-server's `/props` tells them, or SGLang's `/get_server_info`; None from any other."""
    parts = urlsplit(server.base)
    root = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/").removesuffix("/v1"), "", ""))
    for path, name in (("/props", "total_slots"), ("/get_server_info", "max_running_requests")):
        try:
            answer = _get(server, f"{root}{path}")
            held: Any = answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            continue
        value = held.get(name) if isinstance(held, Mapping) else None
        if isinstance(value, int) and value > 0:
            return value
    return None


def _get(server: _Server, url: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.key}"} if server.key else {}
    return httpx.get(url, headers=headers, timeout=_TIMEOUT_S)


def _unknown_host(base: str) -> bool:
    try:
        socket.getaddrinfo(urlsplit(base).hostname, None)
    except OSError:
        return True
    return False
