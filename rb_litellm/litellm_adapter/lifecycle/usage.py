"""Read from LiteLLM's responses what an answer used; None where it does not say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OUTPUT_NAMES = ("completion_tokens", "output_tokens")


def output_tokens(response: object) -> int | None:
    """Output tokens of a chat, completion, Responses or Anthropic answer; 0 for embeddings."""
    usage = _get(response, "usage")
    if usage is None:
        return None
    for name in _OUTPUT_NAMES:
        value = _get(usage, name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return 0 if _get(usage, "prompt_tokens") is not None else None


def hidden(response: object, name: str) -> Any:
    """A field of LiteLLM's `_hidden_params` (model_id, response_cost, cache_hit, ...), or None."""
    return _get(_get(response, "_hidden_params"), name)


def _get(holder: object, name: str) -> Any:
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)
