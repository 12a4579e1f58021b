"""Read from LiteLLM's responses what an answer used; None where it does not say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from rb_litellm.core.types import MAX_TOKENS, Stated

_OUTPUT_NAMES = ("completion_tokens", "output_tokens")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details")
_APART = ("cache_read_input_tokens", "cache_creation_input_tokens")
_MOST_MS = 1e8
"""About a day."""
_CHARS_PER_TOKEN = 4
_MAX_ID = 256
"""Characters of an answer's id. LiteLLM's ids of Responses are the longest, with about 200."""


def output_tokens(response: object) -> int | None:
    """Output tokens of a chat, completion, Responses or Anthropic answer; 0 for embeddings."""
    usage = _get(response, "usage")
    if usage is None:
        return None
    told = [value for name in _OUTPUT_NAMES if (value := _get(usage, name)) is not None]
    if told:
        return _first_count(*told)
    return 0 if _get(usage, "prompt_tokens") is not None else None


def reasoning_tokens(response: object) -> int:
    """Output tokens that the model thought with; 0 where it does not say."""
    usage = _get(response, "usage")
    told = [_get(_get(usage, name), "reasoning_tokens") for name in _OUTPUT_DETAILS]
    return _first_count(*told) or 0


def prompt_tokens(response: object) -> int | None:
    """Input tokens, cached ones among them; None if the server does not say.

    Anthropic's own `input_tokens` are without those that were read from its cache or written into it.
    """
    usage = _get(response, "usage")
    told = _first_count(_get(usage, "prompt_tokens"))
    if told is not None or (others := _first_count(_get(usage, "input_tokens"))) is None:
        return told
    apart = (_first_count(_get(usage, name)) or 0 for name in _APART)
    return others + sum(apart)


def cached_tokens(response: object) -> int | None:
    """Input tokens that the server had cached, by OpenAI's or Anthropic's fields; None if it does not say."""
    usage = _get(response, "usage")
    told = [_get(_get(usage, name), "cached_tokens") for name in _INPUT_DETAILS]
    return _first_count(*told, _get(usage, "cache_read_input_tokens"))


def written_tokens(response: object) -> int | None:
    """Input tokens that the server wrote into its cache, by Anthropic's field or LiteLLM's; None if it does
    not say."""
    usage = _get(response, "usage")
    told = [_get(_get(usage, name), "cache_write_tokens") for name in _INPUT_DETAILS]
    return _first_count(_get(usage, "cache_creation_input_tokens"), *told)


def stated_times(response: object) -> Stated | None:
    """What llama.cpp's server says of its times (`timings`), on a whole answer or on a stream's last chunk.

    LiteLLM hands it on with every whole answer, and with streams of `openai/` models that are not asked for
    usage. None where there is none, or where it cannot be.
    """
    timings = _get(response, "timings")
    prompt_s, answer_s = (_seconds_of(_get(timings, name)) for name in ("prompt_ms", "predicted_ms"))
    if prompt_s is None or answer_s is None:
        return None
    cached, read = (_first_count(_get(timings, name)) for name in ("cache_n", "prompt_n"))
    share = cached / (cached + read) if cached is not None and read else None
    return Stated(prompt_s, answer_s, share, _first_count(_get(timings, "predicted_n")))


def answer_id(response: object) -> str:
    """The answer's own id, shortened to a bound; empty where it has none."""
    value = _get(response, "id")
    return value[:_MAX_ID] if isinstance(value, str) else ""


def ended_at_limit(response: object) -> bool:
    """Whether a limit on output tokens ended a chat, completion, Responses or Anthropic answer."""
    choices = _get(response, "choices")
    if isinstance(choices, list):
        return "length" in [_get(choice, "finish_reason") for choice in choices]
    if _get(response, "stop_reason") == "max_tokens":
        return True
    return bool(_get(_get(response, "incomplete_details"), "reason") == "max_output_tokens")


def estimated_tokens(response: object) -> int:
    """About how many tokens an answer has, by its text: for those that tell no usage. 0 without text."""
    return -(-sum(map(len, _texts(response))) // _CHARS_PER_TOKEN)


def longest_share(response: object) -> float | None:
    """Of the text of several answers in one, the share that the longest has; None where there is one only."""
    choices = _get(response, "choices")
    if not isinstance(choices, list) or len(choices) < 2:
        return None
    lengths = [sum(map(len, _texts({"choices": [choice]}))) for choice in choices]
    return max(lengths) / sum(lengths) if any(lengths) else None


def is_receipt(response: object) -> bool:
    """Whether this only says that a background response will follow."""
    # An answer with choices is there. To ask LiteLLM's own for what it has not got takes microseconds.
    return _get(response, "choices") is None and _get(response, "status") in ("queued", "in_progress")


def _texts(response: object) -> Iterator[str]:
    choices = _get(response, "choices")
    for choice in choices if isinstance(choices, list) else ():
        message = _get(choice, "message")
        parts = [_get(choice, "text"), _get(message, "content"), _get(message, "reasoning_content")]
        calls = _get(message, "tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = _get(call, "function")
            parts += [_get(function, "name"), _get(function, "arguments")]
        yield from (part for part in parts if isinstance(part, str))


def hidden(response: object) -> Callable[[str], Any]:
    """A field of LiteLLM's `_hidden_params` by name (model_id, response_cost, cache_hit, ...), or None."""
    return partial(_get, _get(response, "_hidden_params"))


def _seconds_of(milliseconds: object) -> float | None:
    number = isinstance(milliseconds, (int, float)) and not isinstance(milliseconds, bool)
    return float(milliseconds) / 1e3 if number and 0.0 <= milliseconds <= _MOST_MS else None  # type: ignore[arg-type,operator]


def _first_count(*values: object) -> int | None:
    for value in values:
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
            return value
    return None


def _get(holder: object, name: str) -> Any:
    # Asked some thirty times of every answer, and hardly ever of mappings of other kinds.
    if holder is None:
        return None
    if isinstance(holder, dict):
        return holder.get(name)
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
