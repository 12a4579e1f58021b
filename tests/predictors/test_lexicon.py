"""What a prompt is read as does not depend on what is read beside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.predictors.reading import lexicon
from rb_litellm.predictors.reading.lexicon import BUCKETS, KINDS, WIDTH, Bags, bags, project, weigh

texts = st.lists(
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")), min_size=1, max_size=8
)
IDF = np.random.default_rng(0).uniform(0.0, 3.0, WIDTH).astype(np.float32)


def of_kind(bag: Bags, kind: int) -> dict[int, int]:
    chosen = bag.bucket // BUCKETS == kind
    return dict(zip(bag.bucket[chosen].tolist(), bag.count[chosen].tolist(), strict=True))


@given(texts)
def test_a_text_in_a_batch_has_the_entries_that_it_has_alone(given: list[bytes]) -> None:
    together = bags(given)
    for row, text in enumerate(given):
        alone, part = bags([text]), slice(*together.begins[row : row + 2])
        assert np.array_equal(together.bucket[part], alone.bucket)
        assert np.array_equal(together.count[part], alone.count)
        kinds = together.kinds[KINDS * row :][: KINDS + 1]
        assert np.array_equal(kinds - kinds[0], alone.kinds)


@given(texts)
def test_chunks_change_nothing(given: list[bytes]) -> None:
    whole = bags(given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lexicon, "CHUNK", 20)
        parts = bags(given)
    for name in Bags.__slots__:
        assert np.array_equal(getattr(whole, name), getattr(parts, name))


@given(st.lists(st.integers(1, 200), min_size=2, max_size=8), st.integers(0, 2**32 - 1))
def test_a_text_weighs_the_same_whatever_stands_beside_it(sizes: list[int], seed: int) -> None:
    letters = np.random.default_rng(seed)
    given = [bytes(letters.integers(97, 123, size).astype(np.uint8)) for size in sizes]
    together = bags(given)
    weights, familiarity = weigh(together, IDF)
    for row, text in enumerate(given):
        alone, known = weigh(bags([text]), IDF)
        assert np.array_equal(weights[slice(*together.begins[row : row + 2])], alone)
        assert familiarity[row] == known[0]


@given(texts, st.integers(1, 4))
def test_sums_are_those_of_the_table_whichever_way_they_are_taken(given: list[bytes], outputs: int) -> None:
    table = np.random.default_rng(1).normal(size=(WIDTH, outputs)).astype(np.float32)
    bag = bags(given)
    weights, _ = weigh(bag, IDF)
    row = np.repeat(np.arange(bag.rows), np.diff(bag.begins))
    expected = np.zeros((bag.rows, outputs))
    np.add.at(expected, row, weights[:, None] * table[bag.bucket])
    assert np.allclose(project(bag, weights, table), expected, atol=1e-4)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lexicon, "sparse", None)
        assert np.allclose(project(bag, weights, table), expected, atol=1e-4)


@given(texts)
def test_every_kind_has_length_one_and_familiarity_is_a_share(given: list[bytes]) -> None:
    bag = bags(given)
    weights, familiarity = weigh(bag, IDF)
    power = np.bincount(np.repeat(np.arange(bag.rows * KINDS), np.diff(bag.kinds)), weights=weights**2)
    assert np.allclose(power[power > 0.0], 1.0, atol=1e-4)
    assert np.allclose(familiarity, 1.0)
    assert np.array_equal(weigh(bag, np.zeros_like(IDF))[1], np.zeros(bag.rows))


def test_words_differ_by_letters_and_not_by_case_or_space() -> None:
    words = of_kind(bags([b"The sea, the SEA"]), 0)
    assert sorted(words.values()) == [1, 2, 2, 2]  # a comma, the, sea, line breaks
    assert words == of_kind(bags([b"the sea , the \t sea"]), 0)
    assert words != of_kind(bags([b"these a, the sea"]), 0)


def test_a_word_is_the_same_wherever_it_stands() -> None:
    at_start, far_away = bags([b"tide"]), bags([b" " * 50_000 + b"tide"])
    assert of_kind(at_start, 0) == of_kind(far_away, 0)


def test_pairs_and_runs_keep_the_order() -> None:
    assert of_kind(bags([b"dog bites man"]), 0) == of_kind(bags([b"man bites dog"]), 0)
    assert of_kind(bags([b"dog bites man"]), 1) != of_kind(bags([b"man bites dog"]), 1)
    assert of_kind(bags([b"dog bites man"]), 2) != of_kind(bags([b"man bites dog"]), 2)


def test_nothing_at_all_is_no_entry() -> None:
    assert bags([]).rows == 0
