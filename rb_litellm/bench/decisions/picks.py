"""What a pick costs: the whole of a Router's choice for every strategy, and RouteBalance's part alone.

All strategies are measured in turns within one run, on Routers with the same deployments: four model
groups under one routing group. A pick is `Router.async_get_available_deployment`, with all of LiteLLM's
filters; the decision is what RouteBalance does in it to decide: features, prediction, state, score,
bookkeeping. Telemetry is what recording the decision and telling LiteLLM cost beside that, in the pick and
after it: the difference between two decisions made one right after the other, with it and without. Python's
garbage collector is set as in a proxy's worker that serves, for all strategies alike. Run by
`routebalance bench decision`.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import numpy as np

from rb_litellm.bench.real.placeholder_predictor import train_placeholder
from rb_litellm.core.compiled.in_use import IN_USE
from rb_litellm.predictors.compiled import loading

GROUPS = ("qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "qwen2.5-72b")
STRATEGIES = (
    "routebalance",
    "simple-shuffle",
    "least-busy",
    "latency-based-routing",
    "usage-based-routing-v2",
    "cost-based-routing",
)
ALL_ON = "routebalance, all on"
EVERYTHING = {
    "slo": {"ttft_ms": 2000, "tpot_ms": 200, "e2e_ms": 60_000, "quality_min": 0.1},
    "max_cost_usd": 1.0,
    "admission": {"max_wait_s": 60.0},
    "affinity": {},
    "exploration": {"method": "thompson"},
}
"""Every feature that can be on in a decision."""
SIZES = (13, 128, 1000)
BATCHES = (1, 32)
_TURNS = 10


def run(
    predictor: Path | None,
    sizes: Sequence[int] = SIZES,
    picks: int = 400,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure; `{"rows": [...]}` with times in microseconds per request.

    `predictor` is a trained folder; without one, a placeholder of the usual size is trained. `picks` are made
    per strategy and size, after a tenth as many to warm up; `progress` is called after each size.
    """
    with tempfile.TemporaryDirectory(prefix="routebalance-bench-") as folder:
        if predictor is None:
            train_placeholder(GROUPS, Path(folder) / "placeholder")
        rows = asyncio.run(_run(predictor or Path(folder) / "placeholder", sizes, picks, seed, progress))
    used = "placeholder" if predictor is None else str(predictor)
    return {
        "seed": seed,
        "picks": picks,
        "predictor": used,
        "compiled": IN_USE.loops is not None,
        "rows": rows,
    }


def use_compiled_loops() -> bool:
    """Load compiled loops at once, where numba is installed; whether they are in use."""
    if loading.available():
        IN_USE.use(loading.load(), _raise)
    return IN_USE.loops is not None


def _raise(error: Exception) -> None:
    raise error


async def _run(
    predictor: Path, sizes: Sequence[int], picks: int, seed: int, progress: Callable[[int], None]
) -> list[dict[str, Any]]:
    import litellm

    from rb_litellm import register
    from rb_litellm.litellm_adapter.shared.upkeep.gc_tuning import set_aside

    register()
    use_compiled_loops()
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    random = Random(seed)
    rows: list[dict[str, Any]] = []
    arguments = {"predictor": {"path": str(predictor)}}
    for size in sizes:
        routers = {
            name: router_of(litellm, name, size, arguments if name == "routebalance" else {})
            for name in STRATEGIES
        }
        measures: dict[tuple[str, str, int], Callable[[dict[str, Any]], Awaitable[float]]] = {
            (name, "pick", 1): _pick(router) for name, router in routers.items()
        }
        ours = routers["routebalance"]
        requests = requests_of(random)
        for name, settings in (("routebalance", arguments), (ALL_ON, {**arguments, **EVERYTHING})):
            for batch in BATCHES:
                measures[name, "decision", batch] = _untold(decision_timer(ours, settings, batch))
            measures[name, "telemetry", 1] = _telemetry(ours, settings, requests)
        samples: dict[tuple[str, str, int], list[float]] = {key: [] for key in measures}
        set_aside()
        for turn in range(_TURNS + 1):
            for key in random.sample(list(measures), len(measures)):
                for _ in range(picks // _TURNS):
                    took = await measures[key](next(requests))
                    if turn:  # The first turn warms up.
                        samples[key].append(took)
        for (name, part, batch), taken in samples.items():
            p50, p99 = np.percentile(np.array(taken) * 1e6, (50, 99))
            rows.append(
                {"strategy": name, "deployments": size, "part": part, "batch": batch,
                 "p50_us": round(float(p50), 1), "p99_us": round(float(p99), 1)}
            )  # fmt: skip
        progress(size)
    return rows


def _pick(router: Any) -> Callable[[dict[str, Any]], Awaitable[float]]:
    async def measure(request: dict[str, Any]) -> float:
        began = time.perf_counter()
        await router.async_get_available_deployment(
            model="auto", request_kwargs=request, messages=request["messages"]
        )
        took = time.perf_counter() - began
        _close(request)
        return took

    return measure


def decision_timer(
    router: Any, arguments: dict[str, Any], batch: int
) -> Callable[[dict[str, Any]], Awaitable[float]]:
    """Seconds per request of a batch of decisions; what is written down after them counts too."""
    from rb_litellm.litellm_adapter.build_selector import build_selector
    from rb_litellm.litellm_adapter.worker import worker

    selector = build_selector(router, arguments)
    entries = list(router.model_list)

    async def measure(request: dict[str, Any]) -> float:
        requests = [request, *({**request, "litellm_call_id": uuid4().hex} for _ in range(batch - 1))]
        choices = [selector.select("auto", entries, r["messages"], None, r) for r in requests]
        over = asyncio.Event()
        if batch == 1:
            began = time.perf_counter()
            await choices[0]
        else:
            began = await _all_decided(choices, over)
        worker().accounting.publisher.work_off()
        took = time.perf_counter() - began
        for one in requests:
            _close(one)
        over.set()
        return took / batch

    return measure


async def _all_decided(choices: Sequence[Awaitable[Any]], over: asyncio.Event) -> float:
    """Wait until each has its answer, in a task that then goes on until `over`, as a request's does.

    Returns when it began, on `time.perf_counter`: a request has its task before it comes to us.
    """
    there: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    missing = len(choices)

    async def request(choice: Awaitable[Any]) -> None:
        nonlocal missing
        await choice
        missing -= 1
        if not missing:
            there.set_result(None)
        await over.wait()

    requests = asyncio.gather(*map(request, choices))
    began = time.perf_counter()
    await asyncio.wait((there, requests), return_when=asyncio.FIRST_COMPLETED)
    if requests.done():  # One has failed.
        requests.result()
    return began


def _telemetry(
    router: Any, arguments: dict[str, Any], requests: Iterator[dict[str, Any]]
) -> Callable[[dict[str, Any]], Awaitable[float]]:
    """Seconds that telemetry adds to a decision.

    Recorded and unrecorded decisions alternate, because the machine's speed varies more than the difference.
    """
    told, untold = decision_timer(router, arguments, 1), _untold(decision_timer(router, arguments, 1))

    async def measure(request: dict[str, Any]) -> float:
        return await told(request) - await untold(next(requests))

    return measure


def _untold(
    decide: Callable[[dict[str, Any]], Awaitable[float]],
) -> Callable[[dict[str, Any]], Awaitable[float]]:
    """The same decision without recording and publishing it."""
    from rb_litellm.litellm_adapter.lifecycle.publish_decision import DecisionPublisher
    from rb_litellm.litellm_adapter.worker import worker
    from rb_litellm.telemetry.records.recorder import Recorder

    class Silent(DecisionPublisher):
        def decided(self, *_: Any, **__: Any) -> None:
            return None

        def tell_litellm(self, *_: Any) -> None:
            return None

    silent = Silent(Recorder(), lambda action: action(), lambda _: None, lambda *_: None)

    async def measure(request: dict[str, Any]) -> float:
        shared = worker().accounting
        publisher, shared.publisher = shared.publisher, silent
        try:
            return await decide(request)
        finally:
            shared.publisher = publisher

    return measure


def _close(request: dict[str, Any]) -> None:
    from rb_litellm.litellm_adapter.worker import worker

    worker().accounting.closed(request["litellm_call_id"], "bench", error="Superseded")


def router_of(
    litellm: Any,
    strategy: str,
    size: int,
    arguments: dict[str, Any],
    efforts: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """A Router over `size` deployments of GROUPS, asked for as `auto`; the last group has these efforts."""
    deployments = [
        {
            "model_name": GROUPS[i % len(GROUPS)],
            "litellm_params": {
                "model": f"hosted_vllm/{GROUPS[i % len(GROUPS)]}",
                "api_base": f"http://10.0.{i // 250}.{i % 250}:8000/v1",
                "api_key": "none",
                "input_cost_per_token": 1e-7 * (i % len(GROUPS) + 1),
                "output_cost_per_token": 1e-7 * (i % len(GROUPS) + 1),
                "rpm": 1_000_000,
                "tpm": 1_000_000_000,
            },
            "model_info": {
                "id": f"{strategy}-{size}-{i}{'-levels' * bool(efforts)}",
                "routebalance": {"efforts": dict(efforts) if i % len(GROUPS) == len(GROUPS) - 1 else {}},
            },
        }
        for i in range(size)
    ]
    return litellm.Router(
        model_list=deployments,
        routing_groups=[
            {
                "group_name": "auto",
                "models": list(GROUPS),
                "routing_strategy": strategy,
                "routing_strategy_args": arguments,
            }
        ],
    )


def requests_of(random: Random) -> Iterator[dict[str, Any]]:
    """Chat requests of about 200 tokens, no two alike."""
    words = (
        "the",
        "of",
        "routing",
        "a",
        "model",
        "system",
        "latency",
        "how",
        "quality",
        "why",
        "server",
        "queue",
    )
    while True:
        text = " ".join(random.choices(words, k=190)) + "?"
        yield {
            "messages": [{"role": "user", "content": text}],
            "litellm_call_id": uuid4().hex,
            "metadata": {},
        }
