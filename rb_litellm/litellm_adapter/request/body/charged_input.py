"""What of a request's input its prompt does not show, as tokens: a budget pays for all that is sent.

The prompt that is routed by leaves out what says little of a request: arguments of tool calls, the middle of
a long conversation, files. Whoever answers charges for them as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MAX_PARTS = 10_000
"""Parts of an input that are looked at. One of more costs nobody knows what, and is not paid for."""
UNKNOWN = 1e15
"""Tokens of such an input."""
_CHARS_PER_TOKEN = 2.5
"""JSON, code and other scripts than the Latin one have short tokens."""
_CHARS_PER_AUDIO_TOKEN = 500.0
_NAMES = ("role", "type")
"""Their values are of a fixed vocabulary; the chat template is charged by the message."""


def unread_tokens(inputs: Iterable[object], read_chars: int) -> float:
    """An upper estimate of the tokens in these inputs beside the `read_chars` characters already counted.

    Images are not among them: they are counted by number.
    """
    chars, numbers, audio = 0, 0, 0
    parts: list[object] = [*inputs]
    looked_at = 0
    while parts:
        part = parts.pop()
        looked_at += 1
        if looked_at + len(parts) > MAX_PARTS:
            return UNKNOWN
        if isinstance(part, (str, bytes)):
            chars += len(part)
        elif isinstance(part, list):
            if part and isinstance(part[0], int):  # a prompt in token numbers
                numbers += len(part)
            else:
                parts.extend(part)
        elif isinstance(part, Mapping):
            kind = str(part.get("type", ""))
            if "audio" in kind:
                audio += sum(len(str(value)) for value in part.values())
            elif "image" not in kind:
                parts.extend(value for name, value in part.items() if name not in _NAMES)
    return max(chars - read_chars, 0) / _CHARS_PER_TOKEN + numbers + audio / _CHARS_PER_AUDIO_TOKEN
