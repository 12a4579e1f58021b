"""Tokens are tiktoken's, whether a text is counted alone or together with others."""

from __future__ import annotations

import random
from functools import lru_cache

import numpy as np
import pytest
import tiktoken

from rb_litellm.predictors.reading import pieces, tokens
from rb_litellm.predictors.reading.pieces import Vocabulary
from rb_litellm.predictors.reading.tokens import count_tokens, estimate_tokens

AWKWARD = " \n\r\tab'sSlLvert1234.,(--\x1c\x0b\0  "
"""Characters at which the pattern of cl100k_base decides: few, so that all their neighbourhoods occur."""
TEXTS = (
    "Don't say they'll've SAID it'sound: 'tis 'RE-done, rock'n'roll ''s 's.",
    "def f(x):\n    if x > 10_000:\n\n        return {'a': [1, 22, 333, 4444, 1234567]}\n  \n\t# end\n",
    "aGVsbG8gd29ybGQhIFRoaXMgaXMgYmFzZTY0Lg== 550e8400-e29b-41d4-a716-446655440000",
    "https://example.org/a/b?c=d&e=%20f#g  --  (see [1], \\frac{1}{2}, $x_{i}^{2}$)...\n\n\n",
    "Wie heißt du? 你好世界。 Ça va — oui\u00a0! 🙂",
    "antidisestablishmentarianism pseudopseudohypoparathyroidism",
    "   leading, trailing   ",
    "a\0b",
    "\n",
    " ",
    "",
)


@lru_cache(maxsize=1)
def encoding() -> tiktoken.Encoding:
    made = tokens.cl100k_base()
    assert made is not None
    return made


def by_tiktoken(texts: list[str]) -> list[int]:
    return [len(encoding().encode_ordinary(text)) for text in texts]


def test_many_texts_have_the_tokens_that_tiktoken_counts_of_each() -> None:
    assert Vocabulary(encoding()).count(TEXTS) == by_tiktoken([*TEXTS])


def test_so_do_texts_of_characters_at_which_the_pattern_decides() -> None:
    draw = random.Random(0)
    texts = ["".join(draw.choices(AWKWARD, k=draw.randint(0, 30))) for _ in range(3000)]
    assert Vocabulary(encoding()).count(texts) == by_tiktoken(texts)


def test_texts_that_do_not_fit_one_pass_are_counted_in_several(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = Vocabulary(encoding())
    monkeypatch.setattr(pieces, "CHUNK", 40)
    assert vocabulary.count(TEXTS) == by_tiktoken([*TEXTS])


def test_what_is_not_in_the_vocabulary_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary, texts = Vocabulary(encoding()), ["the blorptic zanfeld", "a blorptic quux"]
    first = vocabulary.count(texts)
    monkeypatch.setattr(vocabulary, "_asked", None)
    assert vocabulary.count(texts) == first == by_tiktoken(texts)


def test_the_table_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = Vocabulary(encoding())
    size = vocabulary._table.size
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.bytes(9).hex() for _ in range(50)) for _ in range(200)]
    assert vocabulary.count(texts) == by_tiktoken(texts)
    assert vocabulary._table.size == size


def test_tokens_are_estimated_for_any_text() -> None:
    assert estimate_tokens("") == 0
    assert estimate_tokens("Hello world") == 2
    long = "The quick brown fox jumps over the lazy dog. " * 5000
    assert estimate_tokens(long) == pytest.approx(50_000, rel=0.05)
    assert estimate_tokens("\ud800 lone") > 0


def test_a_text_has_the_same_number_alone_and_among_others() -> None:
    texts = [*TEXTS, "lorem ipsum dolor " * 1000, "\ud800 lone", "x = 1\n" * 900]
    assert count_tokens(texts) == [estimate_tokens(text) for text in texts]
    assert count_tokens([]) == []


def test_without_a_vocabulary_characters_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_vocabulary", lambda: None)
    assert count_tokens(["", "a", "twelve chars"]) == [0, 1, 3]
