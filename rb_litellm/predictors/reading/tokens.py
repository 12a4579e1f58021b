"""How many tokens a text has, in microseconds and without a network.

LiteLLM ships the vocabulary of cl100k_base; it is read from there without importing LiteLLM. Where
it cannot be found, characters are counted instead. Of a long text only three samples are tokenised.
A text has the same number whether it is counted alone, by `piece_counts`, or among others, by `pieces`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import tiktoken

from rb_litellm.core.compiled.in_use import IN_USE
from rb_litellm.predictors.reading.pieces import Vocabulary

CHARS_PER_TOKEN = 4.0
"""Used where there is no vocabulary: English text has about four characters a token."""
EXACT_CHARS = 3_000
"""Texts up to this length are tokenised whole."""
SAMPLE_CHARS = 800
"""Of longer texts this much is tokenised at the start, in the middle and at the end."""
_TOGETHER_CHARS = 3_000
"""Up to this many characters in all, texts are counted faster one by one than together, unless compiled."""

_log = logging.getLogger("rb_litellm")
_CL100K_FILE = (
    "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"  # tiktoken's cache name: SHA-1 of the vocabulary's URL
)


def estimate_tokens(text: str) -> int:
    """Tokens of `text` in cl100k_base: exact up to EXACT_CHARS, else extrapolated. Never raises."""
    return count_tokens((text,))[0]


def count_tokens(texts: Sequence[str]) -> list[int]:
    """`estimate_tokens` of each text, cheaper for many at once."""
    vocabulary = _vocabulary()
    if vocabulary is None:
        return [_by_chars(text) for text in texts]
    parts: list[str] = []
    for text in texts:
        parts.extend((text,) if len(text) <= EXACT_CHARS else _samples(text))
    try:
        together = IN_USE.loops is not None or sum(map(len, parts)) > _TOGETHER_CHARS
        counted = iter(vocabulary.count(parts) if together else map(vocabulary.count_alone, parts))
        return [next(counted) if len(text) <= EXACT_CHARS else _extrapolated(text, counted) for text in texts]
    except (ValueError, RuntimeError):
        return [*map(estimate_tokens, texts)] if len(texts) > 1 else [_by_chars(texts[0])]


def _samples(text: str) -> tuple[str, str, str]:
    middle = (len(text) - SAMPLE_CHARS) // 2
    return text[:SAMPLE_CHARS], text[middle : middle + SAMPLE_CHARS], text[-SAMPLE_CHARS:]


def _extrapolated(text: str, counted: Iterator[int]) -> int:
    """Tokens of a long text, from the next three counts: those of its samples."""
    return round(sum(islice(counted, 3)) * len(text) / (3 * SAMPLE_CHARS))


def _by_chars(text: str) -> int:
    return max(1, round(len(text) / CHARS_PER_TOKEN)) if text else 0


@lru_cache(maxsize=1)
def _vocabulary() -> Vocabulary | None:
    encoding = cl100k_base()
    return None if encoding is None else Vocabulary(encoding)


def cl100k_base() -> tiktoken.Encoding | None:
    """The encoding, read from disk; None, with a warning, where its vocabulary is not to be found."""
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
