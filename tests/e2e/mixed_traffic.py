"""Traffic as a busy proxy has it: chats, streams, messages and responses; aborted, mocked and failed ones."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import httpx

from tests.e2e.proxy import Proxy, Servers, chat

GROUPS = ("fast", "slow")


def configuration(servers: Servers) -> dict[str, Any]:
    """Two servers, the second 2.5 times as slow as the first, beside others that answer at once or never."""
    models = [servers.deployment(0, "fast", routebalance={"quality": 0.3})]
    models.append(servers.deployment(1, "slow", routebalance={"quality": 0.9}))
    servers.fault(1, slowdown=2.5)
    embedding = servers.deployment(0, "embed")
    embedding["litellm_params"]["model"] = "hosted_vllm/mock-embedding"
    mocked, failed = servers.deployment(0, "mocked"), servers.deployment(0, "failed")
    mocked["litellm_params"]["mock_response"] = "This is a mocked answer, which took no time. " * 3
    failed["litellm_params"]["api_base"] = "http://127.0.0.1:9/v1"
    return {
        "model_list": [
            *models,
            mocked,
            failed,
            {**embedding, "model_info": {"id": "embed-0", "mode": "embedding"}},
        ],
        "router_settings": {
            "routing_strategy": "simple-shuffle",
            "routing_groups": [
                {
                    "group_name": "auto",
                    "models": list(GROUPS),
                    "routing_strategy": "routebalance",
                    "routing_strategy_args": {"mode": "shadow", "weights": "cost"},
                }
            ],
        },
        "general_settings": {"store_prompts_in_spend_logs": True, "proxy_batch_write_at": 2},
    }


async def send(proxy: Proxy, calls: int, rate: float) -> Counter[str]:
    """Send `calls` requests, `rate` a second; how many of each kind were sent."""
    dice = random.Random(0)
    sent: Counter[str] = Counter()
    kinds = (
        ["chat"] * 6 + ["stream"] * 6 + ["messages", "responses", "aborted", "mocked", "failed", "embedding"]
    )
    limits = httpx.Limits(max_connections=200)
    async with proxy.async_client(limits=limits) as client:  # noqa: SIM117  the tasks end before the client
        async with asyncio.TaskGroup() if hasattr(asyncio, "TaskGroup") else _Gathered() as group:
            for number in range(calls):
                kind = dice.choice(kinds)
                sent[kind] += 1
                model = dice.choice([*GROUPS, "auto"])
                words = " ".join(
                    dice.choice(("river", "stone", "cloud", "light")) for _ in range(dice.randrange(3, 120))
                )
                group.create_task(_one(client, kind, model, f"{number}: {words}", dice.randrange(24, 160)))
                await asyncio.sleep(dice.expovariate(rate))
    return sent


class _Gathered:
    """TaskGroup, as far as needed, for Python 3.10."""

    async def __aenter__(self) -> _Gathered:
        self.tasks: list[asyncio.Task[Any]] = []
        return self

    def create_task(self, job: Any) -> None:
        self.tasks.append(asyncio.ensure_future(job))

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self.tasks)


async def _one(client: httpx.AsyncClient, kind: str, model: str, text: str, tokens: int) -> None:
    body = chat(model, text, max_tokens=tokens)
    if kind == "embedding":
        await client.post("/v1/embeddings", json={"model": "embed", "input": text})
    elif kind == "messages":
        await client.post("/v1/messages", json=body)
    elif kind == "responses":
        await client.post("/v1/responses", json={"model": model, "input": text, "max_output_tokens": tokens})
    elif kind in ("mocked", "failed"):
        await client.post("/v1/chat/completions", json={**body, "model": kind})
    elif kind in ("stream", "aborted"):
        async with client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as answer:
            lines = 0
            async for line in answer.aiter_lines():
                lines += line.startswith("data:")
                if kind == "aborted" and lines > 8:
                    break
    else:
        await client.post("/v1/chat/completions", json=body)
