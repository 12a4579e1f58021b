"""Whether a request is answered in text of a length that a limit on tokens bounds.

LiteLLM's Router picks a deployment for embeddings, images, speech and the like, too. Their APIs know no such
limit, and refuse a request that has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_OTHER_PATHS = (
    "/embeddings",
    "/images/generations",
    "/images/edits",
    "/images/variations",
    "/audio/speech",
    "/audio/transcriptions",
    "/moderations",
    "/rerank",
    "/videos",
    "/ocr",
)
"""Ends of the proxy's paths for what is answered in another way."""


def answers_in_text(messages: object, input: object, request_kwargs: Mapping[str, Any] | None) -> bool:
    """True where nothing tells otherwise: then it is the deployment's kind that counts."""
    kwargs = request_kwargs or {}
    of_proxy = kwargs.get("proxy_server_request")
    if isinstance(of_proxy, Mapping) and isinstance(url := of_proxy.get("url"), str):
        return not _path(url).endswith(_OTHER_PATHS)
    # Outside of the proxy: an `input` is that of a response or of an embedding, and LiteLLM keeps what it
    # knows of the former under another name.
    return messages is not None or input is None or "litellm_metadata" in kwargs


def _path(url: str) -> str:
    try:
        return urlsplit(url).path.rstrip("/")
    except ValueError:
        return ""
