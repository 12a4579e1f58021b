"""What a logged call asked for, out of LiteLLM's `call_type`: a chat, an image, a file and so on.

A question that a tool asks takes the kinds that it is about: a written answer (`WRITTEN`) has output tokens
that follow each other in time, an image or an embedding has none of that.
"""

from __future__ import annotations

import re

WRITTEN = ("chat", "stream", "text", "messages", "responses", "generate_content")
"""Kinds whose answer is written token by token."""

MARK = "routebalance-shadow-evaluation"
"""Tag of calls that RouteBalance itself makes to compare answers; they are nobody's traffic."""

_PATTERNS = (
    ("batch", r".*batch.*|.*fine_tuning.*"),
    ("file", r".*(file|container|sandbox|run_code|code_interpreter).*"),
    ("vector_store", r".*vector_store.*|a?ingest|a?query"),
    ("mcp", r".*mcp.*"),
    ("realtime", r".*realtime.*|.*websocket.*"),
    ("video", r".*video.*"),
    ("image", r".*image.*"),
    ("embedding", r".*embedding.*"),
    ("transcription", r".*transcription.*"),
    ("speech", r".*speech.*"),
    ("rerank", r".*rerank.*"),
    ("moderation", r".*moderation.*"),
    ("pass_through", r".*pass_?through.*"),
    ("text", r"a?text_completion"),
    ("chat", r"a?completion|.*chat.completions?"),
    ("messages", r"a?anthropic_messages"),
    ("responses", r"a?(compact_)?responses"),
    ("generate_content", r"a?generate_content(_stream)?"),
)
_COMPILED = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


def kind_of(call_type: str | None, output_tokens: float | None) -> str:
    """The kind of a call; where LiteLLM wrote no type, a chat if tokens came out, else `unknown`."""
    # Behind the last dot: an enum's member may be written with the name of its enum.
    told = (call_type or "").strip().lower().rpartition(".")[2].lstrip("_")
    if not told:
        return "chat" if output_tokens and output_tokens > 0 else "unknown"
    for kind, pattern in _COMPILED:
        if pattern.fullmatch(told):
            return kind
    return told
