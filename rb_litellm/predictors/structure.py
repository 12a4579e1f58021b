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
_PHRASES = (b"```", b"a)", b"1.", b"- ", b"  ", b"____")
_RARE_BYTES = [*b"`)1- _"]
"""Of each phrase: a text without it is not searched."""
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
_START_AT = {word.encode(): n for n, word in enumerate(_STARTS)}
_PLAIN = 14
_COUNTED = _PLAIN + 8
STRUCTURE = _COUNTED + len(_SIGNS) + len(_PHRASES) + len(_STARTS)
"""Figures of one prompt."""

# Kind of every byte of UTF-8: other, upper, lower, digit, white space, beyond ASCII. One column each.
_KIND = np.zeros((256, 6))
for _kind, _bytes in ((1, range(65, 91)), (2, range(97, 123)), (3, range(48, 58)), (4, (9, 10, 13, 32))):
    _KIND[list(_bytes), _kind] = 1.0
_KIND[128:, 5] = 1.0
_KIND[:, 0] = 1.0 - _KIND.sum(axis=1)


def structure(
    prompts: Sequence[Prompt], texts: Sequence[str], contents: Sequence[bytes]
) -> npt.NDArray[np.float32]:
    """Figures of R prompts, (R, STRUCTURE); `texts` are the parts looked at, `contents` these as UTF-8."""
    histograms = _histograms(contents)
    rows = np.zeros((len(prompts), STRUCTURE))
    rows[:, :6] = histograms @ _KIND / np.maximum(histograms.sum(axis=1), 1)[:, None]
    rows[:, 6:_COUNTED] = [*map(_sizes, prompts, texts)]
    rows[:, _COUNTED - 1] /= histograms[:, 10] + 1
    rows[:, _COUNTED : _COUNTED + len(_SIGNS)] = histograms[:, _SIGN_BYTES]
    lowered = [data.lower() for data in contents]
    rows[:, _COUNTED + len(_SIGNS) : -len(_STARTS)] = [
        [data.count(phrase) if rare else 0 for phrase, rare in zip(_PHRASES, found, strict=True)]
        for data, found in zip(lowered, histograms[:, _RARE_BYTES].tolist(), strict=True)
    ]
    np.log1p(rows[:, _PLAIN : -len(_STARTS)], out=rows[:, _PLAIN : -len(_STARTS)])
    for row, data in zip(rows, lowered, strict=True):
        word = data[:60].split(None, 1)[:1]
        start = _START_AT.get(word[0].strip(b".,:;\"'(")) if word else None
        if start is not None:
            row[start - len(_STARTS)] = 1.0
    return rows.astype(np.float32)


def _histograms(contents: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """How often each byte occurs in each text, (R, 256)."""
    count = len(contents)
    places = np.repeat(np.arange(0, 256 * count, 256), [*map(len, contents)])
    places += np.frombuffer(b"".join(contents), np.uint8)
    return np.bincount(places, minlength=256 * count).reshape(count, 256)


def _sizes(prompt: Prompt, text: str) -> tuple[float, ...]:
    """Form and sizes of one prompt: rows 6 to _COUNTED."""
    end = text[-40:].rstrip()[-1:]
    words = text.count(" ") + 1
    return (
        text[:60].lstrip()[:1].isupper(),
        end == "?",
        end == ".",
        end.isalnum(),
        len(text) / words / 8.0,
        prompt.json_output,
        min(prompt.turns, 20),
        prompt.max_tokens is not None,
        prompt.input_tokens,
        words,
        len(text),
        prompt.system_chars,
        prompt.tools,
        prompt.images,
        prompt.max_tokens or 0,
        len(text),
    )
