"""Deployments that are gone leave nothing behind: no growth, and nothing of them in those that come after."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.balancer import Balancer, RoutingRequest
from rb_litellm.core.decision.scoring import PRESETS, JointScore
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.latency.learning.learned import LearnedTimes
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.types import FloatArray, Outcome, Prompt
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner

ENDS = ("answered", "answered in one piece", "RateLimitError", "Timeout", "InternalServerError", "cached")
QUOTA = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": "3"}


def deployment(name: str, model: str, slots: float = 8.0) -> Deployment:
    prior = LatencyPrior(0.02, 0.1, 1e-5, 0.001, slots)
    server = "" if math.isinf(slots) else f"{name}:8000"
    return Deployment(name, "auto", model, model, prior, 1e-6, 1e-6, server=server, engine=server and model)


@dataclass
class Worker:
    """All that a worker keeps of its deployments."""

    number: int = 0
    index: DeploymentIndex = field(default_factory=DeploymentIndex)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.index, LeaseRule())
        self.balancer = Balancer(
            Reckoner(self.index, self.ledger, Peers(self.index)), LatencyLearner(), Random(0)
        )
        self.beliefs = self.balancer.beliefs

    @property
    def trials(self) -> tuple[FloatArray, ...]:
        its = self.beliefs.trials
        return its._sent_s, its._pause_s, its._open

    def serve(self, its: Deployment, end: str, took_s: float, now: float) -> Outcome:
        """One request goes there, and ends like this."""
        asked = RoutingRequest(Prompt("Why?", 50), (its,), JointScore(PRESETS["balanced"]), thread="loop")
        (placed,) = self.balancer.decide([asked], PredictionSource(), now)
        self.number += 1
        key = AttemptKey(f"call {self.number}", 0)
        self.ledger.open(
            key,
            its.id,
            now=now,
            input_tokens=50,
            prediction=placed.decision.prediction,
            sent_to=placed.sent_to,
        )
        if end == "Timeout":
            self.beliefs.trials.sent(placed.sent_to, now)
        answered = end in ("answered", "answered in one piece", "cached")
        if end == "answered":
            begun = self.ledger.first_token(key, now + 0.2 * took_s)
            assert begun is not None
            self.beliefs.first_token(begun)
        outcome = self.ledger.close(
            key,
            now + took_s,
            "success" if answered else "failure",
            output_tokens=40 if answered else None,
            error=None if answered else end,
        )
        assert outcome is not None
        if end == "answered in one piece":
            outcome = outcome._replace(in_one_piece=True)
        if end == "cached":
            outcome = outcome._replace(cached_tokens=10, written_tokens=30)
        self.beliefs.learn(outcome)
        if end == "RateLimitError":
            self.beliefs.told_quota(its.id, QUOTA, now + took_s)
            self.beliefs.stated_window([its.id], 4096)
            self.beliefs.stated_slots([its.id], 4.0)
        self.beliefs.age(now + took_s)
        return outcome

    def forget(self, *living: Deployment) -> None:
        names = {its.id for its in living} | self.ledger.open_on()
        self.ledger.forget(names)
        self.balancer.forget(names, self.index.forget(names))

    def told(self, its: Deployment, now: float) -> dict[str, object]:
        """All that it believes of a deployment."""
        seen = self.balancer.snapshot([its], now, 100.0, 50.0)
        row = self.beliefs.row(its)
        pace, rows = self.beliefs.pace_row(row), np.array([row])
        paces = np.array([pace])
        slowdown = self.beliefs.slowdown(rows, now)
        writes = self.beliefs.cache_writes.share(paces)
        return {
            "times": [
                float(np.squeeze(one)) for one in (seen.times.ttft_s, seen.times.tpot_s, seen.times.e2e_s)
            ],
            "load": [float(one[0]) for one in (seen.state.in_flight, seen.state.pending_decode_tokens)],
            "failing": seen.failing[:, 0].tolist(),
            "slots": float(seen.slots[0]),
            "window": float(seen.windows[0]),
            "quota": 1.0 if slowdown is None else float(slowdown[0]),
            "out": self.beliefs.outages.is_out(row),
            "tried": [float(one[row]) for one in self.trials],
            "kept": self.beliefs.keeping.share(paces, np.array([5.0])).tolist(),
            "writes": [0.0] if writes is None else writes.tolist(),
            "hoped": self.beliefs.learner.hoped(paces, now)[:, 0].tolist(),
            "learned": self.beliefs.learner.learned(pace),
            "pace": self.balancer._horizons._load.pace(
                paces, self.beliefs.learner.coefficients.tpot_s
            ).tolist(),
            "chosen_s": float(self.balancer._last_chosen[row])
            if row < len(self.balancer._last_chosen)
            else None,
            "credit": float(self.balancer._credit[row]) if row < len(self.balancer._credit) else None,
        }


def same(one: dict[str, object], other: dict[str, object]) -> None:
    for name, its in one.items():
        if isinstance(its, LearnedTimes):
            assert tuple(its) == pytest.approx(tuple(other[name])), name  # type: ignore[arg-type]
        else:
            assert other[name] == pytest.approx(its), name


events = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(ENDS), st.floats(0.05, 30.0)), min_size=1, max_size=25
)


@settings(max_examples=40)
@given(events, events, st.sampled_from([4.0, math.inf]), st.sampled_from([1.0, 3_600.0]))
def test_who_takes_over_a_row_starts_as_if_nobody_had_had_it(
    before: list[tuple[int, str, float]],
    after: list[tuple[int, str, float]],
    slots: float,
    later_s: float,
) -> None:
    old = [deployment(f"old {n}", "old", slots) for n in range(3)]
    new = [deployment(f"new {n}", "new", slots) for n in range(3)]
    worker, fresh, now = Worker(), Worker(), 0.0
    for who, end, took_s in before:
        worker.serve(old[who], end, took_s, now)
        fresh.beliefs.age(now := now + took_s + 1.0)
        worker.beliefs.age(now)
    rows = len(worker.beliefs)
    worker.forget()
    now += later_s
    for who, end, took_s in after:
        for its in (worker, fresh):
            its.serve(new[who], end, took_s, now)
        now += took_s + 1.0
        for each in new:
            if each.id in worker.beliefs._identities:
                same(fresh.told(each, now), worker.told(each, now))
    assert len(worker.beliefs) == max(rows, len(fresh.beliefs))


@settings(max_examples=40)
@given(events, st.sampled_from([4.0, math.inf]))
def test_those_that_stay_are_believed_of_as_before(
    its_events: list[tuple[int, str, float]], slots: float
) -> None:
    gone, stays, other = (deployment(name, name, slots) for name in ("gone", "stays", "other"))
    worker, now = Worker(), 0.0
    for who, end, took_s in its_events:
        worker.serve((gone, stays, other)[who], end, took_s, now)
        now += took_s + 1.0
    kept = [its for its in (stays, other) if its.id in worker.beliefs._identities]
    before = [worker.told(its, now) for its in kept]
    worker.forget(*kept)
    for its, told in zip(kept, before, strict=True):
        # What it writes is pulled to the mean of all.
        same({**told, "writes": None}, {**worker.told(its, now), "writes": None})


def test_a_deployment_that_is_made_anew_again_and_again_takes_no_more_room() -> None:
    worker, stays = Worker(), deployment("stays", "model")
    for number in range(100):
        now = 100.0 * number
        its = deployment(f"made anew {number}", "model" if number % 2 else f"model {number % 5}")
        for each in (stays, its):
            worker.serve(each, "answered", 1.0, now)
        worker.forget(stays, its)
    assert len(worker.index) <= 3
    assert len(worker.beliefs) <= 3
    assert len(worker.beliefs.learner) <= 3
    for kept in (
        worker.beliefs.slots._servers,
        worker.beliefs._on_server,
        worker.beliefs._engines,
        worker.ledger._departures._ends,
        worker.ledger._occupancy._servers,
        worker.balancer._candidate_sets._found,
    ):
        assert len(kept) <= 3


def test_what_comes_late_of_one_that_is_gone_teaches_nobody() -> None:
    worker, gone, new = Worker(), deployment("gone", "old"), deployment("new", "new")
    late = worker.serve(gone, "answered", 1.0, 0.0)
    worker.forget()
    worker.serve(new, "answered", 1.0, 10.0)
    assert worker.beliefs.row(new) == late.sent_to
    before = worker.told(new, 20.0)
    worker.beliefs.learn(late._replace(ttft_s=50.0, open_s=90.0, at_s=20.0))
    worker.beliefs.first_token(late._replace(ttft_s=50.0, open_s=90.0, at_s=20.0))
    same(before, worker.told(new, 20.0))


def test_one_with_something_open_stays_whoever_has_taken_it_out() -> None:
    worker, its = Worker(), deployment("its", "model")
    worker.serve(its, "answered", 1.0, 0.0)
    worker.ledger.open(AttemptKey("open", 0), its.id, now=2.0, input_tokens=1, prediction=None)
    before = worker.told(its, 3.0)
    worker.forget()
    same(before, worker.told(its, 3.0))
    assert worker.ledger.close(AttemptKey("open", 0), 4.0, "success") is not None
    assert worker.ledger.counts().sum() == 0.0


def test_one_that_comes_back_is_met_anew() -> None:
    worker, its = Worker(), deployment("its", "model")
    worker.serve(its, "InternalServerError", 1.0, 0.0)
    worker.forget()
    worker.serve(its, "answered", 1.0, 10.0)
    assert worker.told(its, 20.0)["failing"] == pytest.approx([0.0] * 4, abs=1e-9)
