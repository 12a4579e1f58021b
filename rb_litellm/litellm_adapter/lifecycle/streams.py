"""When a stream's answer begins: some endpoints announce it long before its first token.

The Responses API and Anthropic's messages open with events that say only that the request was taken, and some
servers open a chat with a chunk that holds the role and nothing else. Timed by those, a busy deployment would
look like an idle one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SAID = ("content", "reasoning_content", "thinking_blocks", "tool_calls", "function_call", "audio", "images")
_DELTAS = (".delta", "_delta")
"""Ends of the names of events that carry a piece of the answer, such as `response.output_text.delta`."""


def begins_answer(chunk: Any) -> bool:
    """Whether this chunk of a stream, if it is the first of its kind, holds the answer's first token."""
    if isinstance(chunk, (bytes, bytearray)):
        # Anthropic's server-sent events as they came.
        return b"_delta" in chunk or b'"type"' not in chunk
    if isinstance(chunk, str):
        return "_delta" in chunk or '"type"' not in chunk
    choices = _get(chunk, "choices")
    if isinstance(choices, (list, tuple)) and choices:
        return any(map(_says_something, choices))
    name = getattr(kind := _get(chunk, "type"), "value", kind)
    return not isinstance(name, str) or name.endswith(_DELTAS)


def _says_something(choice: Any) -> bool:
    delta = _get(choice, "delta")
    if delta is None:
        return True  # A text completion, or a shape that is not known: its first chunk counts.
    if _get(choice, "finish_reason"):
        return True
    role = _get(delta, "role")
    said = any(_get(delta, name) for name in _SAID)
    return said or not role


def _get(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
