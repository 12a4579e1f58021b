"""Pairs of a strong and a weak model are compared where one predictor tells of both."""

from __future__ import annotations

import numpy as np
import pytest

from rb_litellm.core.types import Prompt
from rb_litellm.train.data.dataset import Dataset
from rb_litellm.train.default import held_out
from rb_litellm.train.default.unseen import Unseen

STRONG, WEAK = "gpt-4o", "mistral-7b-instruct-v0.3"
PROMPTS = 300


def graded(random: np.random.Generator) -> Dataset:
    """The strong model is right for two prompts of three, and the weak one for one of three."""
    draws = random.random((PROMPTS, 2))
    return Dataset(
        prompts=tuple(Prompt(f"p{n}", input_tokens=10) for n in range(PROMPTS)),
        prompt_ids=tuple(map(str, range(PROMPTS))),
        tasks=("math_level5",) * PROMPTS,
        models=(STRONG, WEAK),
        quality=np.asarray(draws < [0.66, 0.33], dtype=np.float64),
        output_tokens=np.full((PROMPTS, 2), np.nan),
        rows=2 * PROMPTS,
        sha256="",
    )


@pytest.mark.parametrize(("group", "pairs"), [((0, 0), 1), ((0, 1), None)])
def test_models_that_were_left_out_apart_are_no_pair(
    group: tuple[int, int], pairs: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "FEW", 0)  # as where many models were graded
    data = graded(np.random.default_rng(0))
    told = held_out.report(data, Unseen(data.quality, np.array(group)), {})["pairs"]["mathematics"]
    assert (told and told["pairs"]) == pairs
    if told is not None:
        # The truth itself tells which prompts the strong model is needed for.
        assert told["apgr"] > 0.7
