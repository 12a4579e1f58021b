"""A lone text's tokens are tiktoken's, and what is remembered for it is bounded."""

from __future__ import annotations

import random

import pytest

from rb_litellm.predictors.reading import piece_counts
from rb_litellm.predictors.reading.piece_counts import PieceCounts
from tests.predictors.test_tokens import AWKWARD, TEXTS, by_tiktoken, encoding


def test_a_text_has_the_tokens_that_tiktoken_counts() -> None:
    counts = PieceCounts(encoding())
    assert [counts.total(text) for text in TEXTS] == by_tiktoken([*TEXTS])


def test_so_does_a_text_of_characters_at_which_the_pattern_decides() -> None:
    draw, counts = random.Random(1), PieceCounts(encoding())
    texts = ["".join(draw.choices(AWKWARD, k=draw.randint(0, 30))) for _ in range(3000)]
    assert [counts.total(text) for text in texts] == by_tiktoken(texts)


def test_tiktoken_is_not_asked_again_about_pieces_that_it_was_asked_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = PieceCounts(encoding())
    first = counts.total("A blorptic zanfeld, 1234 times")
    monkeypatch.setattr(counts, "_encoding", None)
    assert counts.total("A blorptic zanfeld, 1234 times") == first


def test_no_more_pieces_are_remembered_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(piece_counts, "MAX_PIECES", 3)
    counts = PieceCounts(encoding())
    assert counts.total("one two three four five") == 5
    assert len(counts) == 3


def test_a_piece_of_any_length_is_counted_and_only_short_ones_are_remembered() -> None:
    counts, long = PieceCounts(encoding()), "zq" * 1000
    assert counts.total(long) == by_tiktoken([long])[0]
    assert not counts
