"""What a prompt is made of, apart from its words: sizes, shares of letters and digits, signs, form.

All counts of single signs come from one histogram of the text's bytes, so that the cost does not grow
with their number. Deterministic: the same prompt gives the same row in every process.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import Prompt

_SIGNS = "?\n\\=$:\",.([_{'%-;!/*+<>^|&#@"
_PHRASES = ("```", "def ", "a)", "(a)", "1.", "- ", "http", "  ", "____", "choices", "the following")
_STARTS = [
    "who",
    "what",
    "when",
    "where",
    "which",
    "how",
    "why",
    "write",
    "a",
    "the",
    "if",
    "find",
    "in",
    "let",
    "def",
    "q",
    "is",
    "an",
    "given",
    "for",
    "can",
    "could",
    "explain",
    "create",
    "compute",
    "evaluate",
    "solve",
    "translate",
    "summarize",
]
_SIGN_BYTES = np.frombuffer(_SIGNS.encode(), dtype=np.uint8)
_START_AT = {word: n for n, word in enumerate(_STARTS)}
_PLAIN = 14
STRUCTURE = _PLAIN + 8 + len(_SIGNS) + len(_PHRASES) + len(_STARTS)
"""Figures of one prompt."""

# Kind of every byte of UTF-8: 0 other, 1 upper, 2 lower, 3 digit, 4 white space, 5 beyond ASCII.
_KIND = np.zeros(256, dtype=np.intp)
for _kind, _bytes in ((1, range(65, 91)), (2, range(97, 123)), (3, range(48, 58)), (4, (9, 10, 13, 32))):
    _KIND[list(_bytes)] = _kind
_KIND[128:] = 5


def structure(prompts: Sequence[Prompt], texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Figures of R prompts, (R, STRUCTURE); `texts` are the parts of them that are looked at."""
    rows = np.zeros((len(prompts), STRUCTURE))
    counted = _PLAIN + 8
    for row, prompt, text in zip(rows, prompts, texts, strict=True):
        data = np.frombuffer(text.encode("utf-8", "replace"), dtype=np.uint8)
        histogram = np.bincount(data, minlength=256)
        kinds = np.bincount(_KIND, weights=histogram, minlength=6) / max(data.size, 1)
        end = text[-40:].rstrip()[-1:]
        words = text.count(" ") + 1
        first = text[:60].lstrip()
        row[:_PLAIN] = (
            *kinds,
            first[:1].isupper(),
            end == "?",
            end == ".",
            end.isalnum(),
            len(text) / words / 8.0,
            prompt.json_output,
            min(prompt.turns, 20),
            prompt.max_tokens is not None,
        )
        row[_PLAIN:counted] = (
            prompt.input_tokens,
            words,
            len(text),
            prompt.system_chars,
            prompt.tools,
            prompt.images,
            prompt.max_tokens or 0,
            len(text) / (histogram[10] + 1),
        )
        row[counted : counted + len(_SIGNS)] = histogram[_SIGN_BYTES]
        lowered = text.lower()
        row[counted + len(_SIGNS) : -len(_STARTS)] = [lowered.count(phrase) for phrase in _PHRASES]
        word = first.lower().split(None, 1)[:1]
        at = _START_AT.get(word[0].strip(".,:;\"'(")) if word else None
        if at is not None:
            row[at - len(_STARTS)] = 1.0
    rows[:, _PLAIN : -len(_STARTS)] = np.log1p(rows[:, _PLAIN : -len(_STARTS)])
    return rows.astype(np.float32)
