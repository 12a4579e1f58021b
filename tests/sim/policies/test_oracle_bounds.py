"""Choosers that are told what routers guess: each is told one thing more than the one before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.engine import Simulation
from rb_litellm.sim.policies.by_name import Surroundings, make_policy
from rb_litellm.sim.policies.oracle_bounds import NAMES, OracleBound
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.workloads.workload import Corpus, requests
from tests.sim.corpus import CORPUS

PLAIN = (0.1, 0.2, 0.3, 0.6)
"""Qualities of the four tiers, small to large, for a prompt of no special kind."""


def corpus(*kinds: tuple[str, tuple[float, ...]]) -> Corpus:
    """One prompt for each (task, qualities of the tiers)."""
    return replace(
        CORPUS,
        prompts=CORPUS.prompts[: len(kinds)],
        ids=CORPUS.ids[: len(kinds)],
        quality=np.array([quality for _, quality in kinds]),
        output_tokens=CORPUS.output_tokens[: len(kinds)],
        tasks=tuple(task for task, _ in kinds),
    )


TRAIN = corpus(*[("talk", PLAIN)] * 3, ("code", (0.1, 0.7, 0.3, 0.6)))


def tiers(name: str, simulated: Corpus) -> list[int]:
    """Tier of each of the simulated prompts, in their order."""
    asked = requests(simulated, iter(float(n) for n in range(len(simulated))), len(simulated), 0)
    policy = make_policy(name, Surroundings(PAPER_CLUSTER, TRAIN, PredictionSource()), asked, 0)
    tier_of = [n for n, tier in enumerate(PAPER_CLUSTER.tiers) for _ in range(tier.instances)]
    went = {s.request.prompt: tier_of[s.deployment] for s in Simulation(PAPER_CLUSTER, policy, asked).run()}
    return [went[prompt] for prompt in simulated.prompts]


def test_best_model_sends_everything_to_the_best_of_the_training_rows() -> None:
    assert tiers("best-model", corpus(("code", (0.9, 0.0, 0.0, 0.0)), ("talk", PLAIN))) == [3, 3]


def test_known_kind_goes_to_the_model_that_was_best_for_it_in_training() -> None:
    assert tiers("kind-known", corpus(("code", (0.9, 0.0, 0.0, 0.0)), ("talk", PLAIN))) == [1, 3]


def test_kind_that_training_lacks_goes_where_any_prompt_goes() -> None:
    assert tiers("kind-known", corpus(("poetry", (0.9, 0.0, 0.0, 0.0)))) == [3]


def test_foresight_goes_by_the_kinds_means_over_what_is_simulated() -> None:
    simulated = corpus(("code", (0.9, 0.0, 0.0, 0.0)), ("code", (0.2, 0.0, 0.5, 0.0)), ("talk", PLAIN))
    assert tiers("kind-known:foresight", simulated) == [0, 0, 3]


def test_known_answers_go_to_the_cheapest_of_the_best() -> None:
    assert tiers("prompt-known", corpus(("code", (0.2, 0.5, 0.5, 0.5)), ("code", PLAIN))) == [1, 3]


@pytest.mark.parametrize("name", NAMES)
def test_without_tasks_in_the_data_every_request_is_answered(name: str) -> None:
    simulated = replace(corpus(("", PLAIN), ("", PLAIN)), tasks=())
    assert len(tiers(name, simulated)) == 2


def test_unknown_name_is_answered_with_those_there_are() -> None:
    asked = requests(TRAIN, iter([0.0]), 1, 0)
    with pytest.raises(ValueError, match="unknown oracle bound 'best'; there are best-model"):
        OracleBound("best", PAPER_CLUSTER, TRAIN, asked)
