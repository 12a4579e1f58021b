"""How many tokens a text has, in microseconds and without a network.

LiteLLM ships the vocabulary of cl100k_base; it is read from there without importing LiteLLM. Where
it cannot be found, characters are counted instead. Of a long text only three samples are tokenised.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import tiktoken

CHARS_PER_TOKEN = 4.0
"""Used where there is no vocabulary: English text has about four characters a token."""
EXACT_CHARS = 3_000
"""Texts up to this length are tokenised whole."""
SAMPLE_CHARS = 800
"""Of longer texts this much is tokenised at the start, in the middle and at the end."""

_log = logging.getLogger("rb_litellm")
_CL100K_FILE = (
    "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # tiktoken's cache name: SHA-1 of the vocabulary's URL
)


def estimate_tokens(text: str) -> int:
    """Tokens of `text` in cl100k_base: exact up to EXACT_CHARS, else extrapolated. Never raises."""
    if not text:
        return 0
    encoding = _encoding()
    if encoding is None:
        return max(1, round(len(text) / CHARS_PER_TOKEN))
    try:
        if len(text) <= EXACT_CHARS:
            return len(encoding.encode_ordinary(text))
        middle = (len(text) - SAMPLE_CHARS) // 2
        samples = (text[:SAMPLE_CHARS], text[middle : middle + SAMPLE_CHARS], text[-SAMPLE_CHARS:])
        sampled = sum(len(encoding.encode_ordinary(sample)) for sample in samples)
    except (ValueError, RuntimeError):
        return max(1, round(len(text) / CHARS_PER_TOKEN))
    return round(sampled * len(text) / (3 * SAMPLE_CHARS))


@lru_cache(maxsize=1)
def _encoding() -> tiktoken.Encoding | None:
    for folder in _vocabulary_folders():
        if (folder / _CL100K_FILE).is_file():
            before = os.environ.get("TIKTOKEN_CACHE_DIR")
            os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
            try:
                return tiktoken.get_encoding("cl100k_base")
            except (OSError, ValueError):
                continue
            finally:
                # LiteLLM sets this variable for itself; leave it as it was found.
                if before is None:
                    del os.environ["TIKTOKEN_CACHE_DIR"]
                else:
                    os.environ["TIKTOKEN_CACHE_DIR"] = before
    _log.warning("RouteBalance: no vocabulary of cl100k_base can be read; tokens are counted by characters")
    return None


def _vocabulary_folders() -> Iterator[Path]:
    for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        if os.environ.get(name):
            yield Path(os.environ[name])
    spec = find_spec("litellm")
    for location in (spec.submodule_search_locations or []) if spec else []:
        yield Path(location) / "litellm_core_utils" / "tokenizers"
