"""LiteLLM's own routing strategies as policies, by calling LiteLLM's own code with simulated time.

The one module of the simulator that knows LiteLLM. Its strategies read the wall clock and the global
random generator; while one of its functions runs, both names in that module stand for the
simulation's, so that a run is the same each time and a minute is a simulated minute.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from importlib import import_module
from random import Random
from types import ModuleType
from typing import Any

from rb_litellm.core.servers.streams import Progress
from rb_litellm.sim.policies.policy import Excluded, Oblivious, nobody
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request

_GROUP = "auto"
_EPOCH = datetime(2026, 1, 1, tzinfo=timezone.utc)
_HANDLERS = {
    "least-busy": ("least_busy", "LeastBusyLoggingHandler"),
    "latency-based-routing": ("lowest_latency", "LowestLatencyLoggingHandler"),
    "usage-based-routing-v2": ("lowest_tpm_rpm_v2", "LowestTPMLoggingHandler_v2"),
    "cost-based-routing": ("lowest_cost", "LowestCostLoggingHandler"),
}
STRATEGIES = ("simple-shuffle", *_HANDLERS)
_CACHE_ITEMS = 100_000


class LiteLLMStrategy(Oblivious):
    """One of LiteLLM's strategies over all deployments of the cluster, as one model group."""

    def __init__(self, strategy: str, cluster: Cluster, seed: int = 0) -> None:
        # Else the import of LiteLLM waits for a download.
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        self.name = f"litellm:{strategy}"
        self._strategy = strategy
        self._deployments = [_entry(d) for tier in cluster.tiers for d in tier.deployments()]
        self._number = {entry["model_info"]["id"]: n for n, entry in enumerate(self._deployments)}
        self._random = Random(f"{self.name} {seed}")
        self._sent: dict[int, tuple[datetime, datetime | None]] = {}
        self.excluded: Excluded = nobody
        if strategy == "simple-shuffle":
            self._module = import_module("litellm.router_strategy.simple_shuffle")
        else:
            module, handler = _HANDLERS[strategy]
            self._module = import_module(f"litellm.router_strategy.{module}")
            self._handler = getattr(self._module, handler)(router_cache=_cache())

    def decide(self, worker: int, batch: Sequence[Request], now: float) -> Sequence[int]:
        """LiteLLM's pick for each request."""
        with self._simulated(now):
            return [self._pick(request, now) for request in batch]

    def first_token(
        self, worker: int, request: Request, deployment: int, now: float, progress: Progress
    ) -> None:
        """Kept for the success event, as LiteLLM keeps `completion_start_time`."""
        self._sent[request.number] = (self._sent[request.number][0], _date(now))

    def closed(self, worker: int, request: Request, deployment: int, now: float, output_tokens: int) -> None:
        """LiteLLM's success or failure event."""
        sent, first = self._sent.pop(request.number)
        if self._strategy == "simple-shuffle":
            return
        entry = self._deployments[deployment]
        total = request.prompt.input_tokens + output_tokens
        kwargs = {
            **_call(entry),
            "completion_start_time": first or _date(now),
            "standard_logging_object": {
                "model_group": _GROUP,
                "model_id": entry["model_info"]["id"],
                "total_tokens": total,
                "hidden_params": {"litellm_model_name": entry["litellm_params"]["model"]},
            },
        }
        with self._simulated(now):
            if output_tokens:
                answer = _answer(request.prompt.input_tokens, output_tokens)
                self._handler.log_success_event(kwargs, answer, sent, _date(now))
            else:
                self._handler.log_failure_event(kwargs, None, sent, _date(now))

    def _pick(self, request: Request, now: float) -> int:
        entry = self._ask(self._healthy(request, now))
        self._sent[request.number] = (_date(now), None)
        if self._strategy == "least-busy":
            self._handler.log_pre_api_call(entry["litellm_params"]["model"], [], _call(entry))
        elif self._strategy == "usage-based-routing-v2":
            self._handler.pre_call_check(entry)
        return self._number[entry["model_info"]["id"]]

    def _healthy(self, request: Request, now: float) -> list[dict[str, Any]]:
        excluded = self.excluded(request, now)
        return [entry for n, entry in enumerate(self._deployments) if n not in excluded]

    def _ask(self, healthy: list[dict[str, Any]]) -> dict[str, Any]:
        if self._strategy == "simple-shuffle":
            shuffled: dict[str, Any] = self._module.simple_shuffle(lambda _: None, healthy, _GROUP, {})
            return shuffled
        if self._strategy == "least-busy":
            more: dict[str, Any] = {}
        else:
            # Only compared with limits of tokens per minute, which no deployment has: need not be the prompt.
            more = {"messages": [], "input": None}
        if self._strategy in ("latency-based-routing", "cost-based-routing"):
            more["request_kwargs"] = {"stream": True, "metadata": {}}
        ask: Callable[..., Any] = self._handler.async_get_available_deployments
        found: dict[str, Any] = _finish(ask(_GROUP, healthy, **more))
        return found

    @contextmanager
    def _simulated(self, now: float) -> Iterator[None]:
        date = _date(now)
        stand_ins = {
            "random": self._random,
            "datetime": type("datetime", (datetime,), {"now": classmethod(lambda _, tz=None: date)}),
            "get_utc_datetime": lambda: date,
        }
        with _replaced(self._module, stand_ins):
            yield


@contextmanager
def _replaced(module: ModuleType, names: dict[str, Any]) -> Iterator[None]:
    before = {name: getattr(module, name) for name in names if hasattr(module, name)}
    for name in before:
        setattr(module, name, names[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def _finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits, as those of LiteLLM do over a cache in memory."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise RuntimeError("LiteLLM's strategy waits for something; it cannot be run on a simulated clock")


def _cache() -> Any:
    from litellm.caching.caching import DualCache
    from litellm.caching.in_memory_cache import InMemoryCache

    return DualCache(in_memory_cache=InMemoryCache(max_size_in_memory=_CACHE_ITEMS))


def _entry(deployment: Any) -> dict[str, Any]:
    return {
        "model_name": _GROUP,
        "litellm_params": {
            "model": deployment.model,
            "input_cost_per_token": deployment.input_usd_per_token,
            "output_cost_per_token": deployment.output_usd_per_token,
        },
        "model_info": {"id": deployment.id},
    }


def _call(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "stream": True,
        "litellm_params": {"metadata": {"model_group": _GROUP}, "model_info": entry["model_info"]},
    }


def _answer(input_tokens: int, output_tokens: int) -> Any:
    from litellm import ModelResponse, Usage

    return ModelResponse(
        usage=Usage(
            prompt_tokens=input_tokens,
            completion_tokens=output_tokens,
            total_tokens=input_tokens + output_tokens,
        )
    )


def _date(now: float) -> datetime:
    return _EPOCH + timedelta(seconds=now)
