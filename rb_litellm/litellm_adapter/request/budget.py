"""A request's budget in LiteLLM's terms: what its input may count, and the clamp of its output limit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, MutableMapping
from typing import Any, NamedTuple

from rb_litellm.core.budget import Budget
from rb_litellm.core.types import Prompt

INPUT_MARGIN = 1.15
"""Another tokenizer than ours may count so much more."""
TOKENS_PER_TURN = 8
"""What a chat template puts around a message."""
TOKENS_PER_IMAGE = 1600
CHARS_PER_TOOL_TOKEN = 2.5
"""JSON has short tokens."""
RESPONSES_MIN_TOKENS = 16
"""The Responses API takes no smaller `max_output_tokens`."""
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_EFFORTS = {"minimal": 128, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
"""Thinking tokens that LiteLLM asks of a model for a `reasoning_effort`; `max_tokens` must be above them."""


class Allowance(NamedTuple):
    """What a request may cost, before the tokens of its text are counted."""

    max_cost_usd: float
    beside_text: float
    """Tokens that its input is charged beside those of its text."""
    min_output_tokens: int

    def budget(self, text_tokens: int) -> Budget:
        """The budget of the request with so many tokens of text, by our count."""
        charged = math.ceil(text_tokens * INPUT_MARGIN + self.beside_text)
        return Budget(self.max_cost_usd, charged, self.min_output_tokens)


def allowance_of(
    max_cost_usd: float, prompt: Prompt, body: object, request_kwargs: Mapping[str, Any], responses: bool
) -> Allowance:
    """Of one request with these messages or this input; `responses`: of the Responses API."""
    turns = len(body) if isinstance(body, list) else prompt.turns
    beside = TOKENS_PER_TURN * (turns + 1) + TOKENS_PER_IMAGE * prompt.images + _tool_tokens(request_kwargs)
    least = _least_output(request_kwargs, responses) * _choices(request_kwargs)
    return Allowance(max_cost_usd, beside, least)


def clamp(request_kwargs: MutableMapping[str, Any], affordable_tokens: float, responses: bool) -> int | None:
    """Lower the request's limit on output tokens to what is affordable; returns the limit if it was set.

    A limit of the client's is never raised, and where it has one no second is added.
    """
    if math.isinf(affordable_tokens):
        return None
    tokens = int(affordable_tokens) // _choices(request_kwargs)
    given = [name for name in _LIMITS if _is_limit(request_kwargs.get(name))]
    if not given:
        request_kwargs["max_output_tokens" if responses else "max_tokens"] = tokens
        return tokens
    lowered = [name for name in given if request_kwargs[name] > tokens]
    for name in lowered:
        request_kwargs[name] = tokens
    return tokens if lowered else None


def _least_output(request_kwargs: Mapping[str, Any], responses: bool) -> int:
    least = RESPONSES_MIN_TOKENS if responses else 1
    thinking = request_kwargs.get("thinking")
    if isinstance(thinking, Mapping) and isinstance(thinking.get("budget_tokens"), int):
        least = max(least, thinking["budget_tokens"] + 1)
    effort = request_kwargs.get("reasoning_effort")
    if isinstance(effort, str):
        least = max(least, _EFFORTS.get(effort, 0) + 1)
    return least


def _tool_tokens(request_kwargs: Mapping[str, Any]) -> float:
    chars = 0
    for name in ("tools", "functions", "response_format", "text"):
        value = request_kwargs.get(name)
        if isinstance(value, (list, dict)) and value:
            chars += len(json.dumps(value, default=str))
    return chars / CHARS_PER_TOOL_TOKEN


def _choices(request_kwargs: Mapping[str, Any]) -> int:
    counts = [request_kwargs.get(name) for name in ("n", "best_of")]
    return max([1, *(c for c in counts if isinstance(c, int) and not isinstance(c, bool) and 1 < c <= 1024)])


def _is_limit(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
