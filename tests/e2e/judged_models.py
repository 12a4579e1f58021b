"""Models and a judge behind one address, for tests of requests that are answered more than once.

They do as they are told and count what they were asked.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from aiohttp import web

from tests.e2e.proxy import Proxy, chat

PRICES = {"small": 1e-6, "large": 2e-5, "judge": 1e-6}
TOKENS = {"small": 40, "large": 60, "judge": 5}
INPUT = 30
TEXTS = ("First.", "The second answer.", "Third.", "Fourth.")


@dataclass
class Models:
    """Three models behind one address."""

    url: str = ""
    verdict: str = "VERDICT: GOOD"
    delays: dict[str, float] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    several: bool = True
    """Whether `n` is taken; else it is refused,"""
    deaf: bool = False
    """or passed over."""
    error: int = 500
    """The status of those that are broken."""
    asked: Counter[str] = field(default_factory=Counter)
    seen: list[dict[str, Any]] = field(default_factory=list)
    left: int = 0
    texts: tuple[str, ...] = ()
    """Of several answers in one."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """What the server says."""
        body = await request.json()
        model = body["model"]
        self.asked[model] += 1
        self.seen.append(body)
        try:
            await asyncio.sleep(self.delays.get(model, 0.0))
        except asyncio.CancelledError:
            self.left += 1
            raise
        if model in self.broken:
            return web.json_response({"error": {"message": "broken"}}, status=self.error)
        n = 1 if self.deaf else body.get("n") or 1
        if n > 1 and not self.several:
            return web.json_response({"error": {"message": "n is too large"}}, status=400)
        text = f"{model} answers."
        if model == "judge":
            hard = "hard" in body["messages"][-1]["content"]
            text = "VERDICT: POOR" if hard else self.verdict
        told = {"id": f"{model}-{uuid4().hex}", "created": 1, "model": model}
        usage = {"prompt_tokens": INPUT, "completion_tokens": n * TOKENS[model], "total_tokens": 0}
        if body.get("stream"):
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            delta = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
            end = {"index": 0, "delta": {}, "finish_reason": "stop"}
            for choice in (delta, end):
                chunk = {**told, "object": "chat.completion.chunk", "choices": [choice]}
                await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
            await response.write(b"data: [DONE]\n\n")
            return response
        choices = [
            {
                "index": number,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": self.texts[number] if n > 1 else text},
            }
            for number in range(n)
        ]
        return web.json_response({**told, "object": "chat.completion", "choices": choices, "usage": usage})

    def again(self) -> Models:
        """As they were at first."""
        self.verdict, self.left, self.several, self.texts = "VERDICT: GOOD", 0, True, TEXTS
        self.deaf, self.error = False, 500
        for its in (self.delays, self.broken, self.asked, self.seen):
            its.clear()
        return self


def entry(serving: Models, name: str, quality: float, **settings: Any) -> dict[str, Any]:
    """A deployment of `model_list`."""
    return {
        "model_name": name,
        "litellm_params": {
            "model": f"hosted_vllm/{name}",
            "api_base": serving.url,
            "api_key": "none",
            "input_cost_per_token": PRICES[name],
            "output_cost_per_token": PRICES[name],
        },
        "model_info": {
            "id": f"{name}-1",
            "routebalance": {"quality": quality, "output_tokens": TOKENS[name], **settings},
        },
    }


def key(
    models: tuple[str, ...] = ("auto", "small", "large"), of_key: dict[str, Any] | None = None, **record: Any
) -> str:
    told = {"models": list(models), "key": {"routebalance": of_key} if of_key else {}, "record": record}
    return "sk-" + base64.urlsafe_b64encode(json.dumps(told).encode()).decode()


def ask(
    proxy: Proxy, text: str = "What is a balance?", as_: str | None = None, **body: Any
) -> httpx.Response:
    """A chat request."""
    with proxy.client() as client:
        headers = {} if as_ is None else {"Authorization": f"Bearer {as_}"}
        return client.post("/v1/chat/completions", json=chat("auto", text, **body), headers=headers)


def answer(response: httpx.Response) -> str:
    """The text of a good response."""
    assert response.status_code == 200, response.text
    told: str = response.json()["choices"][0]["message"]["content"]
    return told


def usd(*names: str) -> float:
    """What these calls cost together."""
    return sum((INPUT + TOKENS[name]) * PRICES[name] for name in names)


def metric(proxy: Proxy, name: str, *labels: str) -> float:
    """The sum of a metric's series that have these labels."""
    with proxy.client(follow_redirects=True) as client:
        lines = client.get("/routebalance/metrics").text.splitlines()
    found = [
        line for line in lines if line.startswith(f"routebalance_{name}") and all(x in line for x in labels)
    ]
    return sum(float(line.split()[-1]) for line in found)


def nothing_open(proxy: Proxy) -> None:
    """The ledger comes to nothing, however an answer came about."""
    with proxy.client(follow_redirects=True) as client:
        assert "\nroutebalance_ledger_open_attempts" in client.get("/routebalance/metrics").text
    until = time.monotonic() + 10.0
    while (open_ := metric(proxy, "ledger_open_attempts")) and time.monotonic() < until:
        time.sleep(0.1)
    assert open_ == 0.0
