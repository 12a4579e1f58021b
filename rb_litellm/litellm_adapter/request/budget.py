"""A request's budget in LiteLLM's terms: what its input may count, and the clamp of its output limit.

A limit is lowered for one deployment, at its price. LiteLLM's 1.110 line sends the same request on to the
next one after a failure; so a lowered limit carries what stood there before, and is undone first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, MutableMapping
from itertools import chain
from typing import Any, Literal, NamedTuple

from rb_litellm.core.limits.budget import Budget
from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.request.body.charged_input import unread_tokens
from rb_litellm.litellm_adapter.request.body.google_api import (
    GoogleMessages,
    settings_of,
    spelled,
    with_settings,
)
from rb_litellm.litellm_adapter.request.body.number import number_of

INPUT_MARGIN = 1.15
"""Another tokenizer than ours may count so much more."""
TOKENS_PER_TURN = 8
"""What a chat template puts around a message."""
TOKENS_PER_IMAGE = 1600
CHARS_PER_TOOL_TOKEN = 2.5
"""JSON has short tokens."""
RESPONSES_MIN_TOKENS = 16
"""The Responses API takes no smaller `max_output_tokens`."""
Api = Literal["chat", "responses", "google"]
"""OpenAI's two and Google's. Anthropic's has the limits of the first."""
_LIMITS: Mapping[Api, tuple[str, ...]] = {
    "chat": ("max_tokens", "max_completion_tokens"),
    "responses": ("max_output_tokens",),
    "google": ("maxOutputTokens", "max_output_tokens"),
}
_CHOICES = ("n", "best_of")
_GOOGLE_CHOICES = ("candidateCount", "candidate_count")
_MOST_CHOICES = 10**9
_INPUTS = ("system", "instructions", "prediction", "extra_body")
"""Fields beside messages, input and tools whose content is sent on."""
THOUGHTS = {"minimal": 128, "low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
"""Thinking tokens that LiteLLM asks of a model for a `reasoning_effort`; `max_tokens` must be above them."""


class Allowance(NamedTuple):
    """What a request may cost, before the tokens of its text are counted."""

    max_cost_usd: float
    beside_text: float
    """Tokens that its input is charged beside those of its text."""
    min_output_tokens: int
    answers: int = 1
    """How many answers are asked for, which share the budget."""

    def budget(self, text_tokens: int) -> Budget:
        """The budget of the request with so many tokens of text, by our count."""
        charged = math.ceil(text_tokens * INPUT_MARGIN + self.beside_text)
        return Budget(self.max_cost_usd, charged, self.min_output_tokens)


class LoweredLimit(int):
    """A limit on output tokens as a budget lowered it; `before` stood there, None where nothing did."""

    before: Any

    @classmethod
    def to(cls, tokens: int, before: Any) -> LoweredLimit:
        """Lowered to so many tokens."""
        lowered = cls(tokens)
        lowered.before = before
        return lowered


def api_of(messages: object, input: object) -> Api:
    """Of which API a request with these is; embeddings count as responses."""
    if isinstance(messages, GoogleMessages):
        return "google"
    return "responses" if messages is None and input is not None else "chat"


def allowance_of(
    max_cost_usd: float, prompt: Prompt, body: object, request_kwargs: Mapping[str, Any], api: Api
) -> Allowance:
    """Of one request with these messages or this input."""
    turns = len(body) if isinstance(body, list) else prompt.turns
    inputs = [body, *(request_kwargs.get(name) for name in _INPUTS)]
    unread = unread_tokens(inputs, len(prompt.text))
    beside = TOKENS_PER_TURN * (turns + 1) + TOKENS_PER_IMAGE * prompt.images + _tool_tokens(request_kwargs)
    answers = _answers(request_kwargs, body)
    return Allowance(max_cost_usd, beside + unread, _least_output(request_kwargs, api) * answers, answers)


def clamp(
    request_kwargs: MutableMapping[str, Any], affordable_tokens: float, api: Api, answers: int = 1
) -> int | None:
    """Lower the request's limit on output tokens to what so many answers together can pay for; returns the
    limit if it was set.

    A limit of the client's is never raised, and where it has one no second is added. One that is no number of
    at least 1 limits nothing, whatever a server makes of it, and is replaced.
    """
    if math.isinf(affordable_tokens):
        return None
    tokens = int(affordable_tokens) // answers
    names = _LIMITS[api]
    holders = [with_settings(request_kwargs)] if api == "google" else [*_sent_on(request_kwargs)]
    given = [(holder, name) for holder in holders for name in names if holder.get(name) is not None]
    if not given:
        holders[0][names[0]] = LoweredLimit.to(tokens, None)
        return tokens
    if api == "google" and all(name != names[0] for _, name in given):
        # With underscores a limit reaches Google's own models alone; of others LiteLLM leaves it out.
        its = number_of(holders[0][names[1]])
        holders[0][names[0]] = LoweredLimit.to(int(min(its, tokens)) if its >= 1.0 else tokens, None)
    lowered = [(holder, name) for holder, name in given if not 1.0 <= number_of(holder[name]) <= tokens]
    for holder, name in lowered:
        holder[name] = LoweredLimit.to(tokens, holder[name])
    return tokens if lowered else None


def unclamp(request_kwargs: MutableMapping[str, Any]) -> None:
    """Undo what was lowered for a deployment that has failed."""
    for holder in (*_sent_on(request_kwargs), settings_of(request_kwargs) or {}):
        for name in chain.from_iterable(_LIMITS.values()):
            limit = holder.get(name)
            if isinstance(limit, LoweredLimit):
                if limit.before is None:
                    del holder[name]
                else:
                    holder[name] = limit.before


def _least_output(request_kwargs: Mapping[str, Any], api: Api) -> int:
    least = RESPONSES_MIN_TOKENS if api == "responses" else 1
    if api == "google":
        budget = spelled(spelled(settings_of(request_kwargs), "thinkingConfig"), "thinkingBudget")
        return max(least, budget + 1) if isinstance(budget, int) else least
    thinking = request_kwargs.get("thinking")
    if isinstance(thinking, Mapping) and isinstance(thinking.get("budget_tokens"), int):
        least = max(least, thinking["budget_tokens"] + 1)
    effort = request_kwargs.get("reasoning_effort")
    if isinstance(effort, str):
        least = max(least, THOUGHTS.get(effort, 0) + 1)
    return least


def _tool_tokens(request_kwargs: Mapping[str, Any]) -> float:
    chars = 0
    for name in ("tools", "functions", "response_format", "text"):
        value = request_kwargs.get(name)
        if isinstance(value, (list, dict)) and value:
            chars += len(json.dumps(value, default=str))
    return chars / CHARS_PER_TOOL_TOKEN


def _answers(request_kwargs: Mapping[str, Any], body: object) -> int:
    """How many answers are asked for: so many choices of each prompt, of which a completion may have many."""
    if isinstance(body, GoogleMessages):
        holders, names = [settings_of(request_kwargs) or {}], _GOOGLE_CHOICES
    else:
        holders, names = [*_sent_on(request_kwargs)], _CHOICES
    counts = [number_of(holder.get(name)) for holder in holders for name in names]
    choices = max([1, *(math.ceil(min(c, _MOST_CHOICES)) for c in counts if c > 1.0)])
    first = body[0] if isinstance(body, list) and len(body) == 1 else None
    prompts = [first.get("content") if isinstance(first, Mapping) else None]
    prompts += [holder.get("prompt") for holder in _sent_on(request_kwargs)]
    return choices * max(_prompts(some) for some in prompts)


def _prompts(prompt: object) -> int:
    """Prompts in a completion's `prompt`: a text, token numbers, or a list of either."""
    if not isinstance(prompt, list):
        return 1
    return max(sum(isinstance(one, (str, list)) for one in prompt), 1)


def _sent_on(request_kwargs: Mapping[str, Any]) -> Iterator[Any]:
    """Where the fields that are sent on stand: in the request, and in what is laid over it."""
    yield request_kwargs
    extra = request_kwargs.get("extra_body")
    if isinstance(extra, MutableMapping):
        yield extra
