"""Runs the demo: one load, sent under each strategy in turn, measured by the client."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rb_litellm.demo.load import Answer, Shot, fire, poisson
from rb_litellm.demo.report import DemoResult, StrategyRun
from rb_litellm.demo.stage import OURS, PRESETS, STRATEGIES, Stage, group_name, server_id, stage

_WARM_UP = 12
"""Short requests before each load: a worker's first request imports for a second."""


@dataclass(frozen=True)
class DemoOptions:
    """How much load, how fast, of what."""

    prompts: Sequence[str]
    requests: int = 240
    rate: float = 16.0
    """Requests per second of the cluster's time."""
    time_scale: float = 2.0
    """How many times faster than real the cluster runs. All times are reported in the cluster's time."""
    seed: int = 0
    weights: str = "balanced"
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
        watcher.says("starting Redis, thirteen servers and a LiteLLM proxy with two workers")
        with stage(Path(folder), options.time_scale, options.seed, options.weights, options.port) as ready:
            shots = _load(options)
            runs = {}
            for entrant in (*STRATEGIES, *PRESETS):
                name = f"{OURS}, {entrant}" if entrant in PRESETS else entrant
                watcher.says(f"{name}: {options.requests} requests at {options.rate:g}/s")
                runs[entrant] = asyncio.run(_run(entrant, shots, ready, options, watcher))
            presets = {name: runs.pop(name) for name in PRESETS}
            ours_first = {OURS: runs[OURS], **runs}
            yield DemoResult(options.requests, options.seed, options.rate, ours_first, presets), ready


def _load(options: DemoOptions) -> list[Shot]:
    return poisson(options.prompts, options.requests, options.rate * options.time_scale, options.seed)


async def _run(
    strategy: str, shots: Sequence[Shot], ready: Stage, options: DemoOptions, watcher: Watcher
) -> StrategyRun:
    url, model = f"{ready.url}/v1", group_name(strategy)
    # Alike for every strategy. Ours learns from these few answers as it would from any.
    warm_up = poisson(options.prompts, _WARM_UP, 20.0, options.seed + 1)
    await fire(warm_up, url, model, ready.key, max_tokens=24)
    answers = await fire(shots, url, model, ready.key, on_answer=lambda _: watcher.answered(strategy))
    return StrategyRun(strategy, [_in_cluster_time(answer, options.time_scale) for answer in answers])


def _in_cluster_time(answer: Answer, time_scale: float) -> Answer:
    return replace(
        answer,
        deployment=server_id(answer.deployment),
        e2e_s=answer.e2e_s * time_scale,
        ttft_s=None if answer.ttft_s is None else answer.ttft_s * time_scale,
    )
