"""From a decision by the default predictor, over users' grades, to other decisions in another worker."""

from __future__ import annotations

from random import Random

import pytest

from rb_litellm.balancer import Assignment, Balancer, RoutingRequest
from rb_litellm.core.decision.scoring import JointScore, Weights
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.ability_learning import AbilityLearning
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.state.attempt import LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner
from tests.memory_store import MemoryStore

MATHEMATICS = Prompt("A train goes 60 miles in 45 minutes. How many miles does it go in 3 hours?", 20)
OTHER = Prompt("Write a python function that reverses a linked list.", 10)
NAMES = ("qwen2.5-7b-instruct", "qwen2.5-72b-instruct")


class Worker:
    """Balancer and predictions of one worker, as a proxy has them."""

    def __init__(self) -> None:
        self.learning = AbilityLearning(KINDS)
        self.learning.on = True
        self.source = PredictionSource(default=packaged(), learning=self.learning)
        index = DeploymentIndex()
        reckoner = Reckoner(index, Ledger(index, LeaseRule()), Peers(index))
        self.balancer = Balancer(reckoner, LatencyLearner(), Random(0))

    def quality(self, name: str, prompt: Prompt) -> float:
        return float(self.source.predict([prompt], [ModelInfo(name, name)]).quality[0, 0])

    def choose(self, prompt: Prompt) -> Assignment:
        fleet = tuple(
            Deployment(name, name, name, name, LatencyPrior(0.02, 0.1, 1e-5, 0.0, 8.0), 1e-7, 1e-7)
            for name in NAMES
        )
        objective = JointScore(Weights(1.0, 0.0, 0.0))
        (placed,) = self.balancer.decide([RoutingRequest(prompt, fleet, objective)], self.source, 0.0)
        assert isinstance(placed, Assignment)
        return placed

    async def exchange(self, store: MemoryStore) -> None:
        told = self.learning.tell()
        self.learning.hear(told, await store.share_grades(told))


async def test_bad_grades_of_one_kind_send_that_kind_elsewhere_in_every_worker() -> None:
    store, one, other = MemoryStore(), Worker(), Worker()
    before = one.choose(MATHEMATICS)
    assert before.deployment.id == NAMES[1]
    for number in range(60):
        placed = one.choose(MATHEMATICS)
        one.learning.remember(str(number), placed.gradable)
        one.learning.grade(str(number), 0.1 if placed.deployment.id == NAMES[1] else 0.9)
    await one.exchange(store)
    await other.exchange(store)
    assert other.choose(MATHEMATICS).deployment.id == NAMES[0]
    assert other.choose(OTHER).deployment.id == NAMES[1]


def test_what_a_grade_is_compared_with_is_what_was_predicted_before_any_correction() -> None:
    worker = Worker()
    first = worker.choose(MATHEMATICS).gradable
    assert first is not None
    assert sum(first.kinds) == pytest.approx(1.0)
    worker.learning.remember("call", first)
    worker.learning.grade("call", 0.0)
    again = worker.choose(MATHEMATICS).gradable
    assert again is not None
    assert again.quality == first.quality
    assert worker.quality(first.model, MATHEMATICS) < first.quality


def test_nothing_is_remembered_or_moved_without_the_setting() -> None:
    worker = Worker()
    worker.learning.on = False
    assert worker.choose(MATHEMATICS).gradable is None


def test_a_limit_on_tokens_leaves_the_kinds_and_the_uncorrected_quality() -> None:
    worker = Worker()
    told = worker.source.predict([MATHEMATICS._replace(max_tokens=5)], [ModelInfo(NAMES[0], NAMES[0])])
    assert told.kinds is not None
    assert told.uncorrected_quality is not None
    assert told.output_tokens[0, 0] <= 5


def test_the_priors_alone_learn_nothing() -> None:
    source = PredictionSource(learning=switched_on())
    told = source.predict([MATHEMATICS], [ModelInfo(NAMES[0], NAMES[0])])
    assert told.kinds is None
    assert told.uncorrected_quality is None


def switched_on() -> AbilityLearning:
    made = AbilityLearning(KINDS)
    made.on = True
    return made
