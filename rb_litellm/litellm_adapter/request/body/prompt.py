"""Read a LiteLLM request, of whatever endpoint and however malformed, as a `Prompt`.

Chat and Anthropic messages, completion prompts, Responses items, Google's contents (see `google_api`) and
embedding inputs all end up as one text with a few counts. Nothing here may raise: what cannot be read is left
out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.request.body.google_api import settings_of, spelled
from rb_litellm.litellm_adapter.request.body.number import number_of
from rb_litellm.predictors.reading.tokens import count_tokens

MAX_MESSAGES = 512
"""Messages that are read of one request: the first and the last half of this many."""
MAX_PARTS = 256
"""Content parts that are read of one message."""
MAX_QUESTION = 32_768
"""Characters of a loop's first question that tell it from others."""
MAX_SESSION = 128
"""Characters of a session's name that tell it from others."""
MAX_DEPTH = 4
"""Content within content: a tool's result holds parts of its own."""
MAX_CHARS = 1_000_000
"""Characters of text that are kept of one request; the end is kept, where the question stands."""

_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens", "maxOutputTokens")


def read_prompt(messages: object, input: object, request_kwargs: Mapping[str, Any] | None) -> Prompt:
    """The prompt of a request as LiteLLM's Router passes it to a strategy; empty where unreadable."""
    return counted([read_uncounted(messages, input, request_kwargs)])[0]


def counted(prompts: Sequence[Prompt]) -> list[Prompt]:
    """The same prompts, those of `read_uncounted` with their tokens: many together cost less than each."""
    counts = iter(count_tokens([prompt.text for prompt in prompts if not prompt.input_tokens]))
    return [p if p.input_tokens else p._replace(input_tokens=next(counts)) for p in prompts]


def read_uncounted(messages: object, input: object, request_kwargs: Mapping[str, Any] | None) -> Prompt:
    """The same as `read_prompt` without the tokens of its text, which `counted` adds."""
    kwargs: Mapping[str, Any] = request_kwargs or {}
    body = messages if messages is not None else input
    parts: list[str] = []
    system_chars = turns = images = 0
    for role, content in _contents(body, kwargs):
        texts, pictures = _texts(content)
        images += pictures
        turns += role == "user"
        if role in ("system", "developer"):
            system_chars += sum(map(len, texts))
        parts.extend(texts)
    text = "\n\n".join(parts)[-MAX_CHARS:]
    tools = kwargs.get("tools")
    response_format = kwargs.get("response_format")
    return Prompt(
        text=text,
        input_tokens=0 if text else _given_tokens(body),
        system_chars=system_chars,
        turns=max(turns, 1),
        tools=sum(map(_declared, tools)) if isinstance(tools, list) else 0,
        images=images,
        max_tokens=output_limit(kwargs),
        json_output=(
            isinstance(response_format, Mapping) and response_format.get("type") not in (None, "text")
        )
        or "json" in str(spelled(_google_settings(kwargs), "responseMimeType")),
        session=session_of(kwargs),
    )


def first_question(body: object) -> str:
    """The text of the first message of a user, which stays as it is while a conversation grows."""
    for role, content in _contents(body, {}):
        if role == "user":
            return "\n\n".join(_texts(content)[0])[:MAX_QUESTION]
    return ""


def session_of(kwargs: Mapping[str, Any]) -> str:
    """The client's session, as LiteLLM takes it from body or headers; empty without one."""
    metadata = kwargs.get("metadata")
    given = kwargs.get("litellm_session_id") or (
        metadata.get("session_id") if isinstance(metadata, (dict, Mapping)) else None
    )
    return given[:MAX_SESSION] if isinstance(given, str) else ""


def output_limit(kwargs: Mapping[str, Any]) -> int | None:
    """The smallest of the client's limits on output tokens, None without one."""
    settings = _google_settings(kwargs)
    given = [number_of(holder[name]) for holder in (kwargs, settings) for name in _LIMITS if name in holder]
    return min([int(n) for n in given if 1.0 <= n < 1e9], default=None)


def _google_settings(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    return settings_of(kwargs) or {} if "contents" in kwargs else {}


def _declared(tool: object) -> int:
    """How many tools one of a request's `tools` is: Google's declare several each."""
    declared = spelled(tool, "functionDeclarations")
    return len(declared) if isinstance(declared, list) else 1


def _contents(body: object, kwargs: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    for name in ("system", "instructions"):
        if kwargs.get(name):
            yield "system", kwargs[name]
    if not isinstance(body, list):
        yield "user", body
        return
    half = MAX_MESSAGES // 2
    for item in body if len(body) <= MAX_MESSAGES else [*body[:half], *body[-half:]]:
        if isinstance(item, (str, bytes, bytearray, list)):
            yield "user", item
            continue
        role = _get(item, "role")
        # Chat and Anthropic messages have content; items of the Responses API may have an output.
        content = _get(item, "content") or _get(item, "text") or _get(item, "output") or None
        yield (role if isinstance(role, str) else "user"), content


def _get(item: object, name: str) -> object:
    """A field of a message, be it a mapping or one of LiteLLM's message objects."""
    # Nearly always a dict, which is told from others several times sooner than a mapping is.
    if isinstance(item, (dict, Mapping)):
        return item.get(name)
    return getattr(item, name, None)


def _given_tokens(body: object) -> int:
    """Length of an input that is token numbers, or lists of them, instead of text."""
    if not isinstance(body, list):
        return 0
    rows = body if body and isinstance(body[0], list) else [body]
    return sum(len(row) for row in rows if isinstance(row, list) and row and isinstance(row[0], int))


def _texts(content: object, depth: int = 0) -> tuple[list[str], int]:
    """Texts and number of images of one message's content: a string, bytes, or a list of parts."""
    if isinstance(content, str):
        return [content], 0
    if isinstance(content, (bytes, bytearray)):
        return [bytes(content[-MAX_CHARS:]).decode("utf-8", errors="replace")], 0
    if not isinstance(content, list) or depth >= MAX_DEPTH:
        return [], 0
    texts: list[str] = []
    images = 0
    for part in islice(content, MAX_PARTS):
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, Mapping):
            if isinstance(part.get("text"), str):
                texts.append(part["text"])
            elif part.get("content"):
                inner, pictures = _texts(part["content"], depth + 1)
                texts.extend(inner)
                images += pictures
            images += "image" in str(part.get("type", ""))
    return texts, images
