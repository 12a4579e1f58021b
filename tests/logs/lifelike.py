"""Spend logs as they are in life: plain calls of two servers with known figures, and odd rows among them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

EPOCH = datetime(2026, 11, 2, 8, tzinfo=timezone.utc)
FIGURES = {"small-1": (0.05, 0.015), "large-1": (0.3, 0.045)}
"""True TTFT and time per token, in s."""
PRICES = {"small-1": (1e-7, 3e-7), "large-1": (8e-7, 2.4e-6)}
Row = dict[str, Any]


def at(seconds: float) -> str:
    """A moment as LiteLLM writes it."""
    return (EPOCH + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def row(
    number: int, start: float, server: str = "small-1", dice: random.Random | None = None, **changes: Any
) -> Row:
    """One answered call, streamed unless its number is a multiple of three."""
    dice = dice or random.Random(number)
    ttft, tpot = FIGURES[server]
    tokens, prompt = dice.randrange(20, 400), dice.randrange(50, 900)
    first = ttft * dice.uniform(0.9, 1.1)
    took = first + (tokens - 1) * tpot * dice.uniform(0.95, 1.05)
    model = "qwen-7b" if server == "small-1" else "llama-70b"
    costs = PRICES[server]
    told = {
        "request_id": f"req-{server}-{number}",
        "litellm_call_id": f"call-{server}-{number}",
        "call_type": "acompletion",
        "spend": prompt * costs[0] + tokens * costs[1],
        "total_tokens": prompt + tokens,
        "prompt_tokens": prompt,
        "completion_tokens": tokens,
        "startTime": at(start),
        "endTime": at(start + took),
        "completionStartTime": at(start + (took if number % 3 == 0 else first)),
        "model": f"hosted_vllm/{model}",
        "model_id": server,
        "model_group": model,
        "custom_llm_provider": "hosted_vllm",
        "api_base": f"http://10.0.0.1/{server}",
        "metadata": {"status": "success", "note": 'says "yes" \\ no\n'},
        "cache_hit": "False",
        "request_tags": [],
        "status": "success",
        "session_id": None,
        "messages": {},
        "response": {},
        "proxy_server_request": {
            "model": model,
            "messages": [{"role": "user", "content": f'Question {number}: "what" is \\ a ledger?\n'}],
        },
    }
    return {**told, **changes}


def plain(calls: int = 240, seed: int = 0, rate: float = 1.0) -> list[Row]:
    """Calls of both servers in turn, at random moments."""
    dice = random.Random(seed)
    rows, now = [], 0.0
    for number in range(calls):
        now += dice.expovariate(rate)
        rows.append(row(number, now, "small-1" if number % 2 else "large-1", dice))
    return rows


def _ended(number: int, start: float, seconds: float, **changes: Any) -> Row:
    one = row(number, start, **changes)
    return {**one, "endTime": at(start + seconds), "completionStartTime": at(start + seconds)}


def _other(call_type: str, model: str, **changes: Any) -> Callable[[int, float], Row]:
    def make(number: int, start: float) -> Row:
        wide = {
            "call_type": call_type,
            "model": model,
            "model_group": model,
            "model_id": model and f"{model}-1",
        }
        return _ended(number, start, 4.0, **{**wide, "completion_tokens": 0, **changes})

    return make


def _buffered(number: int, start: float) -> Row:
    one = row(number, start)
    end = datetime.fromisoformat(one["endTime"].replace("Z", "+00:00"))
    return {**one, "completionStartTime": (end - timedelta(milliseconds=0.1)).isoformat()}


def _noted_twice(one: Row) -> Row:
    end = datetime.fromisoformat(one["endTime"].replace("Z", "+00:00"))
    return {**one, "completionStartTime": (end - timedelta(milliseconds=1)).isoformat()}


def _aborted(number: int, start: float) -> Row:
    tokens = 7
    cut = {"completion_tokens": tokens, "metadata": {"client_disconnected": True}}
    return {
        **row(number, start, **cut),
        "endTime": at(start + 0.05 + (tokens - 1) * 0.015),
        "completionStartTime": at(start + 0.05),
    }


ODD: dict[str, Callable[[int, float], Row]] = {
    "no model, a file": _other("acreate_file", ""),
    "no model, a batch": _other("acreate_batch", ""),
    "no model, a tool": _other("call_mcp_tool", ""),
    "no model, no type": lambda n, t: _ended(n, t, 1.0, model="", model_group="", model_id="", call_type=""),
    "image": _other("aimage_generation", "painter", completion_tokens=1056),
    "image on the same server": lambda n, t: _ended(
        n, t, 12.0, call_type="aimage_edit", completion_tokens=900
    ),
    "speech": _other("aspeech", "speaker"),
    "transcription": _other("atranscription", "hearer"),
    "embedding": _other("aembedding", "embedder"),
    "rerank": _other("arerank", "sorter"),
    "video": _other("avideo_generation", "filmer"),
    "failed": lambda n, t: _ended(n, t, 0.0, status="failure", completion_tokens=0, spend=0.0),
    "failed slowly": lambda n, t: _ended(n, t, 600.0, status="failure", completion_tokens=0, spend=0.0),
    "cached": lambda n, t: _ended(n, t, 0.002, cache_hit="True", spend=0.0),
    "cached, not told": lambda n, t: _ended(n, t, 0.004, spend=0.0),
    "mocked": lambda n, t: _ended(n, t, 0.03, spend=0.0, proxy_server_request={"mock_response": "no"}),
    "at once": lambda n, t: _ended(n, t, 0.0),
    "a guardrail's answer": lambda n, t: _ended(n, t, 0.1, completion_tokens=200),
    "ends before it starts": lambda n, t: _ended(n, t, -0.01),
    "no end": lambda n, t: row(n, t, endTime=None),
    "no time": lambda n, t: row(n, t, startTime="yesterday"),
    "negative spend": lambda n, t: row(n, t, spend=-0.001),
    "no amount of spend": lambda n, t: row(n, t, spend="NaN"),
    "negative tokens": lambda n, t: row(n, t, completion_tokens=-5),
    "buffered stream": _buffered,
    "an end noted twice": lambda n, t: _noted_twice(row(3 * n, t)),
    "first token at once": lambda n, t: row(n, t, completionStartTime=at(t)),
    "a clock that ran late": lambda n, t: _ended(n, t, 7200.0),
    "aborted": _aborted,
    "responses": lambda n, t: row(3 * n, t, call_type="aresponses"),
    "messages": lambda n, t: row(n, t, call_type="anthropic_messages"),
}
"""Rows that are in logs though no figure may be taken from them, or that must not bend the figures."""


def mixed(rows: Sequence[Row], odd: Sequence[str], share: float, seed: int = 0) -> list[Row]:
    """The rows with others among them, so that those make up `share` of all."""
    dice = random.Random(seed)
    count = round(len(rows) * share / (1.0 - share))
    span = max(dice.uniform(0.9, 1.0) * len(rows), 1.0)
    added = [ODD[dice.choice(odd)](10_000 + n, dice.uniform(0.0, span)) for n in range(count)]
    together = [*rows, *added]
    dice.shuffle(together)
    return together
