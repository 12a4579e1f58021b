"""Floods against a real proxy: event streams, explanations, feedback, and looks at all that it shows.

What is told of each: answers by status, seconds, the proxy's memory, and how long its event loop computed
without looking at anything else. A round of the loop has in it all that was ready at once, steps of many
requests, LiteLLM's and ours: our part of it is a stall that we make, the whole of it is what a stream waits
for. Python's garbage collector comes upon either and is told apart. Times are those of the processor, so that
waiting for one on a busy machine does not count. LiteLLM's own question about a request that is not sent is
flooded in the same way, for comparison. Run by `routebalance bench floods`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from rb_litellm.bench.real import loop_rounds
from rb_litellm.bench.real.loop_rounds import Round
from rb_litellm.bench.real.testbed import Proxy, running_proxy

DEPLOYMENTS = 13
AT_ONCE = 50
STREAMS = 200
LONG_S = 0.005
"""Longer parts of ours, and longer rounds, are counted."""
_HELD_S = 10.0
_CONNECTIONS = 400
_WARM_UP = 400
"""As many decisions as a worker keeps for those who look."""
_BODY = {"model": "auto", "messages": [{"role": "user", "content": "What is a balance, and who needs one?"}]}
_LOOKS = (
    "/status?decisions=500",
    "/shadow",
    "/whatif?quality=1&latency=0&cost=0&last=500",
    "/metrics",
    "/feedback",
)

Answer = Callable[[int], Awaitable[int]]
"""Sends the request of that number; the answer's status."""


@dataclass(frozen=True, slots=True)
class _Flood:
    name: str
    count: int
    at_once: int
    send: Answer


def run(count: int = 1_000, progress: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure; `{"rows": [...], "rounds with ours": [...]}`, a row for each flood.

    Raises:
        ChildFailed: the proxy does not start.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        environment = {
            "LITELLM_WORKER_STARTUP_HOOKS": loop_rounds.HOOK,
            loop_rounds.FOLDER: str(folder),
        }
        with running_proxy(folder, _config(folder), env=environment) as proxy:
            return asyncio.run(_measure(proxy, folder, count, progress))


async def _measure(proxy: Proxy, folder: Path, count: int, progress: Callable[[str], None]) -> dict[str, Any]:
    # Sooner than the server closes a connection that nobody uses.
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=1.0)
    rows, found = [], []
    async with aiohttp.ClientSession(proxy.url, headers=proxy.headers, connector=connector) as session:
        await _sent(
            _Flood("warm up", _WARM_UP, 16, _posting(session, "/v1/chat/completions", lambda _: _BODY))
        )
        for flood in _floods(session, count):
            progress(flood.name)
            before, began = _memory_mb(proxy.child.pid), time.monotonic()
            statuses = await _sent(flood)
            ended = time.monotonic()
            await asyncio.sleep(0.2)
            rounds = [one for one in loop_rounds.read(folder) if began < one.at_s <= ended]
            found += [(flood.name, one) for one in rounds]
            rows.append(
                {
                    "flood": flood.name,
                    "answers": ", ".join(f"{code}: {number}" for code, number in sorted(statuses.items())),
                    "s": round(ended - began, 1),
                    "memory MB": f"{before:.0f} to {_memory_mb(proxy.child.pid):.0f}",
                    **_told_rounds(rounds),
                }
            )
    return {"rows": rows, "rounds with ours": [_told(name, one) for name, one in _worst(found)]}


def _told_rounds(rounds: Sequence[Round]) -> dict[str, Any]:
    """Our part of rounds beside all of them; `ours missed` is our code where no time was taken of it."""
    longest = max(rounds, key=lambda one: one.ours_s, default=None)
    computed_s = sum(one.computed_s for one in rounds)
    missed_s = sum(one.missed * one.computed_s for one in rounds)
    return {
        "ours of a round ms": _longest_ms(one.ours_s for one in rounds),
        "all of that round ms": 0.0 if longest is None else round(longest.computed_s * 1e3, 1),
        "ours above 5 ms": sum(one.ours_s > LONG_S for one in rounds),
        "longest round ms": _longest_ms(one.computed_s for one in rounds),
        "rounds above 5 ms": sum(one.computed_s > LONG_S for one in rounds),
        "collector ms": _longest_ms(one.collected_s for one in rounds),
        "ours missed": f"{missed_s / max(computed_s, 1e-9):.1%}",
    }


def _floods(session: aiohttp.ClientSession, count: int) -> list[_Flood]:
    def looking(path: str) -> Answer:
        async def look(number: int) -> int:
            async with session.get(f"/routebalance{path}") as answer:
                await answer.read()
                return answer.status

        return look

    async def look(number: int) -> int:
        return await looking(_LOOKS[number % len(_LOOKS)])(number)

    async def watch(number: int, requests: int) -> int:
        if number >= STREAMS:  # traffic, so that there is something to see
            await asyncio.sleep((number - STREAMS) * _HELD_S / requests)
            return await ask(number)
        async with session.get("/routebalance/events") as answer:
            until = time.monotonic() + _HELD_S
            while answer.status == 200 and time.monotonic() < until:
                await answer.content.readany()
            return answer.status

    def streams(requests: int) -> _Flood:
        name = f"{STREAMS} event streams, {requests / _HELD_S:g} requests/s"
        return _Flood(name, STREAMS + requests, STREAMS + requests, lambda n: watch(n, requests))

    ask = _posting(session, "/v1/chat/completions", lambda _: _BODY)
    explain = _posting(session, "/routebalance/explain", lambda _: _BODY)
    grade = _posting(session, "/routebalance/feedback", lambda n: {"call_id": f"call-{n}", "score": 1.0})
    theirs = _posting(session, "/utils/token_counter", lambda _: _BODY)
    singly = {"request": ask, "LiteLLM's /utils/token_counter": theirs, "explain": explain, "grade": grade}
    singly |= {path.partition("?")[0]: looking(path) for path in _LOOKS}
    return [
        *(_Flood(f"one {name} at a time", max(count // 20, 20), 1, send) for name, send in singly.items()),
        streams(count // 5),
        # More requests than a worker does.
        streams(count),
        _Flood(f"{count} explains", count, AT_ONCE, explain),
        _Flood(f"{count} grades", count, AT_ONCE, grade),
        _Flood(f"{count} looks", count, AT_ONCE, look),
        _Flood(f"{count} requests", count, AT_ONCE, ask),
        _Flood(f"{count} of LiteLLM's /utils/token_counter", count, AT_ONCE, theirs),
    ]


def _posting(session: aiohttp.ClientSession, path: str, body: Callable[[int], Any]) -> Answer:
    async def send(number: int) -> int:
        async with session.post(path, json=body(number)) as answer:
            await answer.read()
            return answer.status

    return send


async def _sent(flood: _Flood) -> Counter[int]:
    """Answers by status."""
    places, statuses = asyncio.Semaphore(flood.at_once), Counter[int]()

    async def one(number: int) -> None:
        async with places:
            statuses[await flood.send(number)] += 1

    await asyncio.gather(*(one(number) for number in range(flood.count)))
    return statuses


def _longest_ms(seconds: Iterable[float]) -> float:
    return round(max(seconds, default=0.0) * 1e3, 1)


def _worst(found: Sequence[tuple[str, Round]]) -> list[tuple[str, Round]]:
    """The three with the most of ours of each flood."""
    by_ours = sorted(found, key=lambda one: -one[1].ours_s)
    names = dict.fromkeys(name for name, _ in found)
    return [one for name in names for one in [other for other in by_ours if other[0] == name][:3]]


def _told(name: str, one: Round) -> dict[str, Any]:
    return {
        "flood": name,
        "ms": round(one.computed_s * 1e3, 1),
        "of ours ms": round(one.ours_s * 1e3, 1),
        "where": one.where,
    }


def _memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _config(folder: Path) -> dict[str, Any]:
    params = {"model": "openai/mock", "api_key": "none", "mock_response": "A balance weighs."}
    prices = {"input_cost_per_token": 1e-7, "output_cost_per_token": 1e-7}
    groups = ("small", "large")
    return {
        "model_list": [
            {
                "model_name": groups[n % 2],
                "litellm_params": {**params, **prices},
                "model_info": {"id": f"bench-{n}", "routebalance": {"quality": 0.3 + 0.3 * (n % 2)}},
            }
            for n in range(DEPLOYMENTS)
        ],
        "router_settings": {
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": list(groups),
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {
                        "redis": {"enabled": False},
                        "feedback": {"path": str(folder / "feedback.jsonl")},
                    },
                }
            ]
        },
    }
