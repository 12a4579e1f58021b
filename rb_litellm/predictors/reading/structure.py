"""The structure of a prompt apart from its words: sizes, shares of letters and digits, signs, form, start.

All counts of single signs come from one histogram of the text's bytes, so that the cost does not grow
with their number. Deterministic: the same prompt gives the same row in every process.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import IntArray, Prompt

_SIGNS = "?\n\\=$:\",.([_{'%-;!/*+<>^|&#@"
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
_START_AT = {word.encode(): n for n, word in enumerate(_STARTS)}

# Columns: shares of six kinds of bytes, form and sizes, signs, the first word. From PLAIN up to the
# first word they are logarithms.
FORM = slice(6, 22)
WORDS = 15
"""Column of the logarithm of the number of words."""
WORD_LENGTH, CHARS, LINE = 10, 16, 21
PLAIN = 14
SIGNS_AT = slice(22, 22 + len(_SIGNS))
STRUCTURE = SIGNS_AT.stop + len(_STARTS)
"""Figures of one prompt."""


def _counted() -> npt.NDArray[np.float64]:
    """What each byte of UTF-8 counts for, (256, 6 + len(_SIGNS) + 1).

    Other, upper, lower, digit, white space, beyond ASCII; each of _SIGNS; a space.
    """
    columns = np.zeros((256, 6 + len(_SIGNS) + 1))
    for kind, members in ((1, range(65, 91)), (2, range(97, 123)), (3, range(48, 58)), (4, b"\t\n\r ")):
        columns[list(members), kind] = 1.0
    columns[128:, 5] = 1.0
    columns[:, 0] = 1.0 - columns[:, 1:6].sum(axis=1)
    for column, sign in enumerate(_SIGNS.encode() + b" ", 6):
        columns[sign, column] = 1.0
    return columns


COUNTED = _counted()
LINES_COUNTED = 6 + _SIGNS.index("\n")


def structure(
    prompts: Sequence[Prompt], texts: Sequence[str], contents: Sequence[bytes], counted: IntArray
) -> npt.NDArray[np.float32]:
    """Figures of R prompts, (R, STRUCTURE).

    `texts` are the parts looked at, `contents` these as UTF-8, `counted` (R, 256) their `histograms`.
    """
    counts = counted @ COUNTED
    chars = np.array([*map(len, texts)], dtype=np.float64)
    words = counts[:, -1] + 1.0
    rows = np.zeros((len(prompts), STRUCTURE))
    rows[:, :6] = counts[:, :6] / np.array([[len(data) or 1] for data in contents])
    rows[:, FORM] = [*map(form, prompts, texts)]
    rows[:, WORD_LENGTH] = chars / words / 8.0
    rows[:, WORDS] = words
    rows[:, CHARS] = chars
    rows[:, LINE] = chars / (counts[:, LINES_COUNTED] + 1.0)
    rows[:, SIGNS_AT] = counts[:, 6:-1]
    logarithms = rows[:, PLAIN : SIGNS_AT.stop]
    np.log1p(logarithms, out=logarithms)
    for row, data in enumerate(contents):
        start = start_of(data)
        if start >= 0:
            rows[row, SIGNS_AT.stop + start] = 1.0
    return rows.astype(np.float32)


def histograms(contents: Sequence[bytes]) -> IntArray:
    """How often each byte occurs in each text, (R, 256)."""
    return np.array([np.bincount(np.frombuffer(data, np.uint8), minlength=256) for data in contents])


def start_of(data: bytes) -> int:
    """Place of a text's first word among those that say something; -1 for any other."""
    word = data[:60].lower().split(None, 1)[:1]
    return _START_AT.get(word[0].strip(b".,:;\"'("), -1) if word else -1


def form(prompt: Prompt, text: str) -> tuple[float, ...]:
    """Form and sizes of one request, the columns FORM; 0 for those that come from the histogram."""
    end = text[-40:].rstrip()[-1:]
    return (
        text[:60].lstrip()[:1].isupper(),
        end == "?",
        end == ".",
        end.isalnum(),
        0,
        prompt.json_output,
        min(prompt.turns, 20),
        prompt.max_tokens is not None,
        prompt.input_tokens,
        0,
        0,
        prompt.system_chars,
        prompt.tools,
        prompt.images,
        prompt.max_tokens or 0,
        0,
    )
