"""Requests of Google's own API (`/v1beta/models/MODEL:generateContent`) in the form of chat messages.

Gemini's clients speak it. LiteLLM takes it for any model, and its Router gets such a request with `contents`
in place of messages and with its limits in a part of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

MAX_CONTENTS = 512
"""Contents that are read of one request: the first and the last half of this many."""
MAX_PARTS = 256
"""Parts that are read of one content."""
_SYSTEM = ("systemInstruction", "system_instruction")
_SETTINGS = ("config", "generationConfig")
"""Where its limits stand. LiteLLM leaves out the second where there is the first, and `generation_config`
always."""
_CAPITAL = re.compile("[A-Z]")


class GoogleMessages(list[dict[str, Any]]):
    """Chat messages that were made of `contents`."""


def google_messages(
    messages: object, input: object, request_kwargs: Mapping[str, Any] | None
) -> GoogleMessages | None:
    """Chat messages of such a request; None for any other one. Never raises.

    Of a long one the middle is left out, as of all requests.
    """
    if messages is not None or input is not None or not request_kwargs:
        return None
    contents = request_kwargs.get("contents")
    if isinstance(contents, (str, Mapping)):
        contents = [contents]
    if not isinstance(contents, list):
        return None
    half = MAX_CONTENTS // 2
    shown = contents if len(contents) <= MAX_CONTENTS else [*contents[:half], *contents[-half:]]
    system = [{"role": "system", "content": _parts(told)} for told in _systems(request_kwargs)]
    return GoogleMessages([*system, *map(_message, shown)])


def settings_of(request_kwargs: Mapping[str, Any]) -> MutableMapping[str, Any] | None:
    """The part that holds its limits, as it is sent on; None without one."""
    for name in _SETTINGS:
        if request_kwargs.get(name) is not None:
            found = request_kwargs[name]
            return found if isinstance(found, MutableMapping) else None
    return None


def spelled(holder: object, name: str) -> Any:
    """The field of this name, in camel case or with underscores as in Google's SDK; None without.

    Google's servers take either.
    """
    if not isinstance(holder, (dict, Mapping)):
        return None
    found = holder.get(name)
    return holder.get(underscored(name)) if found is None else found


def underscored(name: str) -> str:
    """`maxOutputTokens` as `max_output_tokens`."""
    return _CAPITAL.sub(lambda capital: "_" + capital[0].lower(), name)


def with_settings(request_kwargs: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same part, which is made where there is none."""
    found = settings_of(request_kwargs)
    if found is None:
        found = request_kwargs[_SETTINGS[-1]] = {}
    return found


def _systems(request_kwargs: Mapping[str, Any]) -> Iterator[object]:
    for holder in (request_kwargs, settings_of(request_kwargs) or {}):
        yield from (holder[name] for name in _SYSTEM if holder.get(name))


def _message(content: object) -> dict[str, Any]:
    if isinstance(content, Mapping) and content.get("role") == "model":
        return {"role": "assistant", "content": _parts(content)}
    parts = _parts(content)
    told = bool(parts) and all(part.get("type") == "tool_result" for part in parts)
    return {"role": "tool" if told else "user", "content": parts}


def _parts(content: object) -> list[dict[str, Any]]:
    if isinstance(content, Mapping):
        content = content.get("parts", [content])
    if not isinstance(content, list):
        content = [content]
    return [_part(part) for part in content[:MAX_PARTS]]


def _part(part: object) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, Mapping):
        return {}
    for name in ("functionResponse", "function_response"):
        if isinstance(told := part.get(name), Mapping):
            answer = told.get("response")
            values = [*answer.values()] if isinstance(answer, Mapping) else [answer]
            return {"type": "tool_result", "content": values}
    for name in ("inlineData", "inline_data", "fileData", "file_data"):
        if isinstance(data := part.get(name), Mapping):
            kind = str(data.get("mimeType") or data.get("mime_type") or "")
            return {"type": kind.split("/", 1)[0], name: data}
    return dict(part)
