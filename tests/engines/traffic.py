"""Real requests through a real LiteLLM Router to a real engine, and how its forecasts did."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median
from typing import Any

import httpx
import litellm
import numpy as np

from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter.worker import worker
from tests.engines.engine import MODEL, Engine

LENGTH = 4_800
"""Tokens of an answer as configured: so many that `max_tokens` ends it, as it does."""
WORDS = "import os path sys argv return class self value list dict string number file line"


class Routed:
    """One Router with deployments of one engine; its outcomes are the worker's."""

    def __init__(self, engine: Engine, deployments: int = 1, scrape: bool = False, **info: Any) -> None:
        self._engine = engine
        arguments: dict[str, Any] = {"exploration": {"method": "none"}}
        if scrape:
            arguments["scrape"] = {"interval_s": 1.0}
        self.ids = [f"engine-{number}" for number in range(deployments)]
        self.router = litellm.Router(
            model_list=[self._entry(f"m{n}", id_, info) for n, id_ in enumerate(self.ids)],
            routing_strategy="routebalance",
            routing_strategy_args=arguments,
            num_retries=0,
        )
        self.runtime = worker().runtime
        self._asked = 0

    def _entry(self, group: str, id_: str, info: dict[str, Any]) -> dict[str, Any]:
        return {
            "model_name": group,
            "litellm_params": {
                "model": f"{self._engine.provider}/{MODEL}", "api_base": self._engine.url, "api_key": "none",
                "input_cost_per_token": 1e-7, "output_cost_per_token": 1e-7,
            },
            "model_info": {"id": id_, "routebalance": {"quality": 0.5, "output_tokens": LENGTH, **info}},
        }  # fmt: skip

    async def ask(self, tokens: int = 48, words: int = 60, stream: bool = True, group: int = 0) -> None:
        """One request with a prompt of its own, of which nothing is cached, and an answer of this length."""
        self._asked += 1
        call_id = f"{id(self)} {self._asked}"
        text = " ".join([f"{self._asked} {time.monotonic_ns()}", *[WORDS] * (words // 14 + 1)])
        answer = await self.router.acompletion(
            model=f"m{group}",
            messages=[{"role": "user", "content": text}],
            max_tokens=tokens,
            stream=stream,
            extra_body={"ignore_eos": True},
            litellm_call_id=call_id,
            # llama.cpp's server says how long it took, and LiteLLM hands that on if no usage is asked for.
            **({"stream_options": {"include_usage": True}} if stream and self._engine.name == "vLLM" else {}),
        )
        if stream:
            # As the proxy passes a stream on, which sees its first token.
            hook = worker().callbacks.async_post_call_streaming_iterator_hook
            async for _ in hook(None, answer, {"litellm_call_id": call_id}):
                pass

    async def together(self, requests: int, apart_s: float = 0.0, **how: Any) -> list[Outcome]:
        """So many requests at once, or so long after each other; their outcomes."""
        before = self.runtime.outcomes.total

        async def one(number: int) -> None:
            await asyncio.sleep(number * apart_s)
            await self.ask(**how)

        await asyncio.gather(*(one(number) for number in range(requests)))
        return await self._outcomes(before, requests)

    async def in_turn(self, requests: int, **how: Any) -> list[Outcome]:
        """Requests that meet nobody."""
        found = []
        for _ in range(requests):
            found += await self.together(1, **how)
        return found

    async def _outcomes(self, before: int, requests: int) -> list[Outcome]:
        for _ in range(500):
            if self.runtime.outcomes.total >= before + requests:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # What is learned from them is learned a moment later.
        return list(self.runtime.outcomes)[-requests:]

    def slots(self, deployment: int = 0) -> float:
        """Of its server, as believed now."""
        beliefs = self.runtime.balancer.beliefs
        index = self.runtime.index
        return float(beliefs.slots.of(index.server(index.row(self.ids[deployment]))) or np.inf)


def ttft_error(outcomes: list[Outcome]) -> float:
    """Median of |forecast / measured - 1| of TTFT."""
    return median(abs(o.predicted.ttft_s / o.ttft_s - 1.0) for o in outcomes if o.predicted and o.ttft_s)


def e2e_error(outcomes: list[Outcome]) -> float:
    """The same of E2E."""
    return median(abs(o.predicted.e2e_s / o.open_s - 1.0) for o in outcomes if o.predicted)


async def spread_of_straight(
    address: str, model: str, stream: bool, requests: int = 10
) -> tuple[float, float]:
    """Medians of |median / time - 1| of TTFT and E2E of requests that meet nobody, sent past LiteLLM.

    Of an answer in one piece both are those of the whole.
    """
    begun, ended = [], []
    for number in range(requests):
        text = " ".join([f"{number} {time.monotonic_ns()}", *[WORDS] * 5])
        body = {
            "model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 48,
            "ignore_eos": True, "stream": stream,
        }  # fmt: skip
        # A connection of its own for each: engines close idle ones at any moment.
        async with httpx.AsyncClient(timeout=120.0) as client:
            sent = time.monotonic()
            async with client.stream("POST", f"{address}/chat/completions", json=body) as answer:
                answer.raise_for_status()
                times = [time.monotonic() - sent async for line in answer.aiter_lines() if _has_token(line)]
        begun.append(times[0])
        ended.append(times[-1])
    return _spread(begun), _spread(ended)


def _has_token(line: str) -> bool:
    """Whether a line of an answer carries text; the first chunk of a stream names the role alone."""
    if not line.startswith("data: {"):
        return line.startswith("{")
    choices = json.loads(line.removeprefix("data: "))["choices"]
    return bool(choices and choices[0]["delta"].get("content"))


def _spread(times: list[float]) -> float:
    middle = median(times)
    return median(abs(middle / one - 1.0) for one in times)
