"""Runs the demo: one load, sent under each strategy in turn, measured by the client.

A load's last few answers are its longest, on the slowest servers. The next load does not wait for them: it
goes to servers of its own.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rb_litellm.core.decision.scoring import STANDARD
from rb_litellm.demo.load import Answer, Shot, fire, poisson
from rb_litellm.demo.report import DemoResult, StrategyRun
from rb_litellm.demo.stage import ENTRANTS, OURS, PRESETS, STRATEGIES, Stage, group_name, server_id, stage

_WARM_UP, _WARM_RATE, _WARM_TOKENS = 16, 20.0, 64
"""Requests to each strategy before the first load, how many a second to all, and where answers are cut."""
_MOST = 0.9
"""Share of a load's requests that are answered when the next load begins."""


@dataclass(frozen=True)
class DemoOptions:
    """How much load, how fast, of what."""

    prompts: Sequence[str]
    requests: int = 240
    rate: float = 16.0
    """Requests per second of the cluster's time."""
    time_scale: float = 1.0
    """How many times faster than real the cluster runs. All times are reported in the cluster's time."""
    seed: int = 0
    weights: str = STANDARD
    port: int | None = None
    """Where the proxy listens; None for a free port."""


@dataclass(frozen=True)
class Watcher:
    """Who wants to know how far it is."""

    says: Callable[[str], None] = lambda _: None
    answered: Callable[[str], None] = lambda _: None
    """Called with the strategy's name for each answer of its load."""


@contextmanager
def demo(options: DemoOptions, watcher: Watcher) -> Iterator[tuple[DemoResult, Stage]]:
    """Run the whole demo; inside the `with`, everything is still up to be tried by hand.

    Raises:
        ChildFailed: a process did not start.
    """
    with tempfile.TemporaryDirectory(prefix="routebalance-demo-") as folder:
        watcher.says("starting Redis, the servers and a LiteLLM proxy with two workers")
        with stage(Path(folder), options.time_scale, options.seed, options.weights, options.port) as ready:
            runs = asyncio.run(_in_turn(ready, options, watcher))
            presets = {name: runs.pop(name) for name in PRESETS}
            ours_first = {OURS: runs[OURS], **runs}
            yield DemoResult(options.requests, options.seed, options.rate, ours_first, presets), ready


def _load(options: DemoOptions) -> list[Shot]:
    return poisson(options.prompts, options.requests, options.rate * options.time_scale, options.seed)


async def _in_turn(ready: Stage, options: DemoOptions, watcher: Watcher) -> dict[str, StrategyRun]:
    url, shots = f"{ready.url}/v1", _load(options)
    watcher.says("a few requests to each strategy, so that all are warm")
    # A worker's first request imports for a second. No strategy is to take that for a server's slowness, so
    # the one that looks at no times goes first. Nor is any to learn from a proxy that is asked too much.
    for entrants in (STRATEGIES[:1], ENTRANTS[1:]):
        warm_up = poisson(options.prompts, _WARM_UP, _WARM_RATE / len(entrants), options.seed + 1)
        await asyncio.gather(
            *(fire(warm_up, url, group_name(e), ready.key, max_tokens=_WARM_TOKENS) for e in entrants)
        )
    running: dict[str, asyncio.Task[StrategyRun]] = {}
    for entrant in ENTRANTS:
        name = f"{OURS}, {entrant}" if entrant in PRESETS else entrant
        watcher.says(f"{name}: {options.requests} requests at {options.rate:g}/s")
        most = asyncio.Event()
        running[entrant] = asyncio.create_task(_run(entrant, shots, ready, options, watcher, most))
        await most.wait()
    watcher.says("the last answers")
    return {entrant: await run for entrant, run in running.items()}


async def _run(
    entrant: str,
    shots: Sequence[Shot],
    ready: Stage,
    options: DemoOptions,
    watcher: Watcher,
    most: asyncio.Event,
) -> StrategyRun:
    """All answers of one strategy; sets `most` when few are still to come."""
    answered = 0

    def note(_: Answer) -> None:
        nonlocal answered
        answered += 1
        watcher.answered(entrant)
        if answered >= _MOST * len(shots):
            most.set()

    try:
        answers = await fire(shots, f"{ready.url}/v1", group_name(entrant), ready.key, on_answer=note)
    finally:
        most.set()
    return StrategyRun(entrant, [_in_cluster_time(answer, options.time_scale) for answer in answers])


def _in_cluster_time(answer: Answer, time_scale: float) -> Answer:
    return replace(
        answer,
        deployment=server_id(answer.deployment),
        e2e_s=answer.e2e_s * time_scale,
        ttft_s=None if answer.ttft_s is None else answer.ttft_s * time_scale,
    )
