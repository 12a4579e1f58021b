"""When a stream's answer begins: some endpoints announce it long before its first token.

A chat's first chunk comes with its first token. The Responses API and Anthropic's messages open with events
that say only that the request was taken; timed by those, a busy deployment would look like an idle one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DELTAS = (".delta", "_delta")
"""Ends of the names of events that carry a piece of the answer, such as `response.output_text.delta`."""


def begins_answer(chunk: Any) -> bool:
    """Whether this chunk of a stream, if it is the first of its kind, holds the answer's first token."""
    if isinstance(chunk, (bytes, bytearray)):
        # Anthropic's server-sent events as they came.
        return b"_delta" in chunk or b'"type"' not in chunk
    if isinstance(chunk, str):
        return "_delta" in chunk or '"type"' not in chunk
    kind = chunk.get("type") if isinstance(chunk, Mapping) else getattr(chunk, "type", None)
    name = getattr(kind, "value", kind)
    return not isinstance(name, str) or name.endswith(_DELTAS)
