"""What an entry of LiteLLM's `model_list` is for: chat, embedding, rerank, speech, transcription, image, ...

`model_info.mode` says it, else LiteLLM's map of prices, else nobody; then the name may let it be guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rb_litellm.litellm_adapter.shared.entries.facts import mode_of

CHAT = "chat"
_KINDS = {
    "completion": CHAT,
    "responses": CHAT,
    "image_generation": "image",
    "image_edit": "image",
    "audio_transcription": "transcription",
    "audio_speech": "speech",
}
"""Modes that have another name here; all others are kinds of their own."""
_NAMED = (
    ("rerank", re.compile(r"rerank|cross-encoder")),
    (
        "embedding",
        re.compile(r"embed|(^|[/_-])(bge|e5|gte|minilm|nomic|sbert)([-_.]|$)|colbert|(^|[/_-])arctic-e"),
    ),
    ("transcription", re.compile(r"whisper|parakeet|canary-\d|transcri|(^|[/_-])(asr|stt)([-_.]|$)")),
    ("speech", re.compile(r"(^|[/_-])(tts|kokoro|xtts|bark|piper|orpheus)([-_.]|$)")),
    ("image", re.compile(r"stable-diffusion|(^|[/_-])(sdxl|flux|dall-e|gpt-image)([-_.\d]|$)")),
)
"""Parts of names that servers of other kinds have; the first that is found counts."""


def kind_of(entry: Mapping[str, Any]) -> str | None:
    """What it is for as somebody states it; None where nobody does."""
    mode = mode_of(entry)
    return None if mode is None else _KINDS.get(mode, mode)


def guessed_kind(entry: Mapping[str, Any]) -> str:
    """What it is for as stated, else as its name tells; else `chat`."""
    params = entry.get("litellm_params")
    model = str(params.get("model", "") if isinstance(params, Mapping) else "").lower()
    return kind_of(entry) or next((kind for kind, named in _NAMED if named.search(model)), CHAT)
