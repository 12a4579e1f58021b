"""What was learned of kinds of prompts overrules the means only for prompts whose kind is certain."""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rb_litellm.predictors.trained.blend import CLOSEST, Blend
from rb_litellm.train.data.dataset import Dataset, read_dataset
from rb_litellm.train.figures.leave_one_task_out import HeldOutPrompts, choose_recognised, left_out
from rb_litellm.train.fitting.fit import fit
from rb_litellm.train.fitting.targets import Targets
from tests.train.conftest import answers

KINDS = 4


def blend(recognised: float = 0.0) -> Blend:
    """Two kinds of prompt, two models, each good at one kind; the first a little better on the whole."""
    return Blend(
        qualities=2,
        offset=np.array([0.6, 0.5]),
        scale=np.ones(2),
        log_prior=np.log([0.5, 0.5]),
        kind_deviation=np.array([[0.3, -0.3], [-0.3, 0.3]]),
        own_common=0.0,
        own_differences=0.0,
        own_lengths=0.0,
        worth=np.ones(2),
        familiar=0.5,
        recognised=recognised,
    )


def raw(probability: float) -> np.ndarray:
    """What the trees say of a prompt that is of the second kind with this probability."""
    return np.array([[0.0, np.log(probability / (1 - probability)), 0.0, 0.0]])


@pytest.mark.parametrize(("probability", "second_is_better"), [(0.95, True), (0.7, False)])
def test_differences_count_where_the_kind_is_certain(probability: float, second_is_better: bool) -> None:
    told = blend(recognised=0.85).outputs(raw(probability), np.ones(1))[0]
    assert (told[1] > told[0]) == second_is_better


def test_what_is_common_to_all_models_stays() -> None:
    without, gated = (blend(at).outputs(raw(0.7), np.ones(1))[0] for at in (0.0, 0.95))
    assert gated.mean() == pytest.approx(without.mean())


@pytest.mark.parametrize(
    ("probability", "distance"), [(0.3, 0.1 + 0.24), (0.55, 0.1 - 0.06), (0.7, CLOSEST * 0.1)]
)
def test_uncertain_models_come_together_or_part_but_none_overtakes(
    probability: float, distance: float
) -> None:
    gated = blend(0.95).outputs(raw(probability), np.ones(1))[0]
    assert gated[0] - gated[1] == pytest.approx(distance)


def test_what_is_not_along_the_means_fades_for_uncertain_prompts() -> None:
    along, across = np.array([0.05, 0.0, -0.05]), np.array([-0.1, 0.2, -0.1])
    three = Blend(
        qualities=3,
        offset=np.array([0.7, 0.6, 0.5]),
        scale=np.ones(3),
        log_prior=np.log([0.5, 0.5]),
        kind_deviation=np.array([along + across, along + across]),
        own_common=0.0,
        own_differences=0.0,
        own_lengths=0.0,
        worth=np.ones(3),
        familiar=0.5,
    )
    said = np.zeros((1, 5))
    assert three.outputs(said, np.ones(1))[0] == pytest.approx(three.offset + along + across)
    assert three.but(recognised=0.9).outputs(said, np.ones(1))[0] == pytest.approx(three.offset + along)


def test_models_with_the_same_mean_have_no_order_to_keep() -> None:
    equal = blend(0.95).but(offset=np.array([0.5, 0.5]))
    assert equal.outputs(raw(0.7), np.ones(1))[0] == pytest.approx([0.5, 0.5])


def test_a_model_that_prompts_tell_nothing_of_keeps_its_mean() -> None:
    told = blend(0.95).but(worth=np.array([1.0, 0.0])).outputs(raw(0.7), np.ones(1))[0]
    assert told[1] == 0.5
    assert told[0] < 0.6


def judged(probability: float, second: float) -> HeldOutPrompts:
    return HeldOutPrompts(blend(), raw(probability), np.ones(1, dtype=np.float32), np.array([[0.6, second]]))


def test_certainty_is_asked_for_where_unseen_kinds_lose_without() -> None:
    known, unseen_kind = judged(0.95, second=0.8), judged(0.65, second=0.1)
    chosen = choose_recognised(known, [unseen_kind])
    assert known.gain(0.0) > 0.0 > unseen_kind.gain(0.0)
    assert known.gain(chosen) > 0.0 == unseen_kind.gain(chosen)


def test_no_more_is_asked_for_than_costs_nothing() -> None:
    known, unseen_kind = judged(0.95, second=0.8), judged(0.65, second=0.8)
    chosen = choose_recognised(known, [unseen_kind])
    assert (known.gain(chosen), unseen_kind.gain(chosen)) == (known.gain(0.0), unseen_kind.gain(0.0))
    assert choose_recognised(known, []) == 0.0


def test_one_unseen_kind_that_loses_much_counts_for_more_than_others_that_gain() -> None:
    known, fine, lost = judged(0.95, second=0.8), judged(0.65, second=0.65), judged(0.65, second=0.1)
    assert lost.gain(choose_recognised(known, [fine] * 12 + [lost])) == 0.0


def kinds_of(count: int) -> Dataset:
    """Each kind has words of its own; the second model fails at the first half of the kinds."""
    dice = random.Random(0)
    rows: list[dict[str, Any]] = []
    for number in range(60 * count):
        kind = number % count
        words = " ".join(f"{dice.choice('abcdefgh')}{chr(97 + kind)}{dice.choice('xyz')}" for _ in range(15))
        for model, quality in (("one", 0.6), ("two", 0.9 if kind >= count / 2 else 0.1)):
            rows.append(
                {"prompt": f"{words} {number}", "model": model, "quality": quality, "task": f"kind {kind}"}
            )
    return read_rows(rows)


def read_rows(rows: list[dict[str, Any]]) -> Dataset:
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.flush()
        return read_dataset([file.name])


def test_kinds_are_left_out_only_where_enough_remain() -> None:
    many, two = kinds_of(KINDS), read_rows(answers(100))
    assert left_out(Targets.of(many, many.tasks)) == [0, 1, 2, 3]
    assert left_out(Targets.of(two, two.tasks)) == []


@pytest.mark.parametrize("named", [True, False], ids=["named kinds", "kinds that nobody named"])
def test_known_kinds_are_distinguished(named: bool) -> None:
    data = kinds_of(KINDS)
    fitted = fit(data if named else replace(data, tasks=("",) * len(data.tasks)))
    chosen = fitted.unseen_quality.argmax(axis=1)
    assert np.mean(data.quality[np.arange(len(chosen)), chosen]) > 0.72
