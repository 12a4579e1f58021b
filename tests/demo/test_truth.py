"""The demo's truth: which answers are right follows from kind, level and model, and from nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.demo.server.answers import AnswerLengths
from rb_litellm.demo.truth import BUILT_IN, MODELS, SCORES, SHIFT, Known, read_truth

PROMPTS = [json.loads(line)["prompt"] for line in BUILT_IN.read_text().splitlines()]
KNOWN = st.builds(Known, st.sampled_from(sorted(SCORES)), st.sampled_from(sorted(SHIFT)))


def test_every_built_in_prompt_has_a_kind_and_a_level() -> None:
    truth = read_truth()
    assert all(truth.of(prompt) for prompt in PROMPTS)
    assert {truth.of(prompt).kind for prompt in PROMPTS} == set(SCORES)


@given(KNOWN)
def test_a_harder_prompt_is_answered_right_less_often(known: Known) -> None:
    for model in MODELS:
        harder = Known(known.kind, min(known.level + 1, 5))
        assert 0.0 < harder.chance(model) <= known.chance(model) < 1.0


def test_where_a_weaker_model_is_right_a_stronger_one_is() -> None:
    for seed in range(3):
        truth = read_truth(seed=seed)
        for prompt in PROMPTS:
            known = truth.of(prompt)
            by_chance = sorted(MODELS, key=known.chance)
            rights = [truth.right(prompt, model) for model in by_chance]
            assert rights == sorted(rights)


def test_as_many_are_right_as_the_rule_says() -> None:
    for model in MODELS:
        expected = sum(read_truth().of(prompt).chance(model) for prompt in PROMPTS) / len(PROMPTS)
        seeds = [read_truth(seed=seed) for seed in range(20)]
        drawn = sum(t.right(prompt, model) for t in seeds for prompt in PROMPTS) / len(PROMPTS) / 20
        assert drawn == pytest.approx(expected, abs=0.02)


def test_nothing_is_said_of_other_prompts_and_models() -> None:
    truth = read_truth()
    assert truth.right("never seen", MODELS[0]) is None
    assert truth.right(PROMPTS[0], "another-model") is None
    assert AnswerLengths(100.0, None, truth).output_tokens("never seen", MODELS[0]) == AnswerLengths(
        100.0
    ).output_tokens("never seen", MODELS[0])


def test_a_kind_that_there_is_not_is_refused_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "a"}\n{"prompt": "b", "kind": "poetry", "level": 2}\n')
    with pytest.raises(ValueError, match=r"line 2: kind 'poetry'.*knowledge"):
        read_truth(file)
