"""Which requests may be answered more than once.

A chat completion of the proxy in one piece, with one choice, without tools, images and sound. Everything else
has one answer of one model: a stream has begun before anybody can judge it, and a tool that was called may
have been called.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rb_litellm.core.types import Prompt

_NEVER = ("tools", "functions", "tool_choice", "audio", "modalities", "mock_response", "prediction")


def may_be_answered_twice(kwargs: Mapping[str, Any]) -> bool:
    """Whether the body of a chat request allows it."""
    if kwargs.get("stream") or kwargs.get("n") not in (None, 1):
        return False
    if any(kwargs.get(name) for name in _NEVER):
        return False
    kind = getattr(kwargs.get("litellm_logging_obj"), "call_type", "acompletion")
    messages = kwargs.get("messages")
    if kind != "acompletion" or not isinstance(messages, list) or not messages:
        return False
    last = messages[-1]
    return isinstance(last, Mapping) and last.get("role") == "user" and all(map(_is_text, messages))


def _is_text(message: object) -> bool:
    """Whether a judge that reads text sees all of a message."""
    content = message.get("content") if isinstance(message, Mapping) else message
    parts = content if isinstance(content, list) else ()
    return all(
        isinstance(part, str) or (isinstance(part, Mapping) and part.get("type") == "text") for part in parts
    )


def readable(prompt: Prompt) -> bool:
    """Whether a judge that reads text sees all of it."""
    return bool(prompt.text) and not prompt.images
