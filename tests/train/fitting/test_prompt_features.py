"""Features of prompts do not depend on the pieces that they are worked on in."""

from __future__ import annotations

import numpy as np
import pytest

from rb_litellm.core.types import Prompt
from rb_litellm.train.fitting.prompt_features import PromptFeatures

TEXTS = [f"What is a {word} of {n}?" + " again" * (40 * n) for n, word in enumerate("abcdefgh")]
PROMPTS = [Prompt(text=text) for text in TEXTS]


@pytest.mark.parametrize("piece", [1, 3, 8])
def test_pieces_change_nothing(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = PromptFeatures.of(PROMPTS)
    monkeypatch.setattr("rb_litellm.train.fitting.prompt_features.PIECE", piece)
    parted = PromptFeatures.of(PROMPTS)
    rows = np.array([0, 2, 3, 5, 7])
    scale = whole.scale(rows)
    other = parted.scale(rows)
    assert len(parted.bags) == -(-len(PROMPTS) // piece)
    np.testing.assert_array_equal(parted.plain, whole.plain)
    for name in ("seen", "idf", "centre", "spread"):
        np.testing.assert_array_equal(getattr(other, name), getattr(scale, name))
    assert (parted.matrix(scale) != whole.matrix(scale)).nnz == 0
    np.testing.assert_array_equal(parted.familiarity(scale.idf), whole.familiarity(scale.idf))
