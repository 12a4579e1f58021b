"""Targets: what may be asked, how a request is scored under them, and how prices are steered."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.latency.forecast import LatencyForecast
from rb_litellm.core.targets.book import MAX_TOLD, TargetBook, name_of
from rb_litellm.core.targets.controller import HIGHEST, LOWEST, MOST_MOVE, STEP, Controller, Expected
from rb_litellm.core.targets.objective import Targeted, late
from rb_litellm.core.targets.stated import LATE, Targets

ALL = np.ones(2, dtype=bool)
CHEAP, GOOD = Expected(0.00001, 1.0, 0.3, 0.00001, 1.0, 0.9), Expected(0.00005, 3.0, 0.9, 0.00001, 1.0, 0.9)


@pytest.mark.parametrize("wrong", [{}, {"cost_usd_per_1k": 0.0}, {"e2e_p95_s": -1.0}, {"quality_min": 1.5}])
def test_targets_without_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="targets"):
        Targets(**wrong)


def scores(objective: Targeted, quality=(0.3, 0.9), cost=(0.00001, 0.00005), e2e=(1.0, 3.0)):
    times = np.array(e2e)
    quality_term, cost_term = objective.static_terms(np.array(quality), np.array(cost), ALL)
    latency = objective.latency(LatencyForecast(times, times, times, times), ALL)
    return quality_term.points + cost_term.points + latency.points


def test_at_a_price_of_nothing_the_best_answer_wins_and_at_a_high_one_the_cheap():
    targets = Targets(cost_usd_per_1k=0.02)
    assert scores(Targeted(targets)).argmax() == 1
    assert scores(Targeted(targets, price_of_cost=1.0)).argmax() == 0


def test_who_is_probably_late_loses_by_the_price_of_it():
    targets = Targets(e2e_p95_s=2.0)
    assert scores(Targeted(targets)).argmax() == 1
    assert scores(Targeted(targets, price_of_late=2.0)).argmax() == 0


def test_of_equals_the_quickest_wins_whatever_is_asked():
    for maximise in ("quality", "speed", "saving"):
        objective = Targeted(Targets(cost_usd_per_1k=1.0, maximise=maximise))
        assert scores(objective, (0.5, 0.5), (0.1, 0.1), (2.0, 1.9)).argmax() == 1


@pytest.mark.parametrize(("maximise", "wins"), [("quality", 1), ("speed", 0), ("saving", 0)])
def test_what_is_maximised_decides_where_no_bound_presses(maximise, wins):
    targets = Targets(cost_usd_per_1k=1.0, quality_min=0.2, maximise=maximise)
    objective = Targeted(targets, 0.0, 0.0, 0.0)
    assert scores(objective, (0.5, 0.55), (0.2, 0.9), (1.0, 8.0)).argmax() == wins


def test_the_probability_to_be_late_is_a_half_at_the_limit_and_rises():
    at = late(np.array([0.1, 1.0, 2.0, 4.0, 100.0]), 2.0)
    assert at[2] == pytest.approx(0.5)
    assert (np.diff(at) > 0).all()


def steer(controller: Controller, count: int, measured=lambda expected: expected.cost_usd) -> list[Expected]:
    """Between two models of constant quality: whichever scores better is taken."""
    taken = []
    for _ in range(count):
        expected = (CHEAP, GOOD)[scores(controller.objective).argmax()]
        controller.decided(expected)
        controller.finished(expected.cost_usd, expected.e2e_s, measured(expected), expected.e2e_s)
        taken.append(expected)
    return taken


@settings(max_examples=30, deadline=None)
@given(bound=st.floats(0.012, 0.048), wrong=st.floats(0.7, 1.3))
def test_a_mean_cost_between_two_models_is_reached_whatever_forecasts_are_worth(bound, wrong):
    controller = Controller(Targets(cost_usd_per_1k=bound))
    taken = steer(controller, 2500, lambda expected: expected.cost_usd * wrong)
    mean = 1000.0 * wrong * np.mean([each.cost_usd for each in taken[500:]])
    least, most = 0.01 * wrong, 0.05 * wrong
    assert mean == pytest.approx(min(max(bound, least), most), rel=0.03)


def test_the_share_of_late_requests_is_held_where_forecasts_are_blind():
    controller, limit = Controller(Targets(e2e_p95_s=2.0)), 2.0
    random = np.random.default_rng(3)
    was_late = []
    for _ in range(4000):
        index = scores(controller.objective, e2e=(0.9, 1.3)).argmax()
        expected = (CHEAP, GOOD)[index]
        took = float(np.exp(random.normal(math.log((0.9, 1.3)[index]), 0.5)))
        controller.decided(expected)
        controller.finished(expected.cost_usd, expected.e2e_s, None, took)
        was_late.append(took > limit)
    assert np.mean(was_late[500:]) == pytest.approx(LATE, rel=0.25)


@given(
    st.lists(
        st.tuples(st.floats(0, 10), st.floats(0.001, 1e4), st.floats(0, 1), st.floats(0, 10)), max_size=60
    )
)
def test_steps_and_prices_are_bounded(figures):
    controller = Controller(Targets(cost_usd_per_1k=0.02, e2e_p95_s=2.0, quality_min=0.5))
    for cost, e2e, quality, measured in figures:
        before = controller.log_prices
        controller.decided(Expected(cost, e2e, quality, cost, e2e, quality))
        controller.finished(cost, e2e, measured, e2e)
        for name, log_price in controller.log_prices.items():
            assert abs(log_price - before[name]) <= 2 * MOST_MOVE + 1e-9
            assert math.log(LOWEST) - 1e-9 <= log_price <= math.log(HIGHEST[name]) + 1e-9


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_a_measured_figure_that_is_no_number_leaves_everything_as_it_was(wrong):
    controller = Controller(Targets(cost_usd_per_1k=0.02, e2e_p95_s=2.0))
    controller.decided(Expected(0.00002, 1.0, 0.5, 0.00001, 1.0, 0.5))
    before, stood = controller.objective, controller.standing()
    controller.finished(0.00002, 1.0, wrong, wrong)
    assert controller.objective == before
    assert controller.standing() == stood


def test_a_price_comes_down_at_once_from_its_bound():
    controller = Controller(Targets(cost_usd_per_1k=0.001))
    steer(controller, 3000)
    highest = controller.log_prices["cost_usd_per_1k"]
    controller.heard({"cost_usd_per_1k": -20.0})
    assert controller.log_prices["cost_usd_per_1k"] < highest


def test_what_cannot_be_met_is_told_with_what_could():
    controller = Controller(Targets(cost_usd_per_1k=0.001, quality_min=0.95))
    steer(controller, 200)
    standing = controller.standing()
    assert {stands.word for stands in standing.values()} == {"infeasible"}
    assert standing["cost_usd_per_1k"].best == pytest.approx(0.01)
    assert standing["quality_min"].best == pytest.approx(0.9)


def test_bounds_that_exclude_each_other_keep_the_cost():
    controller = Controller(Targets(cost_usd_per_1k=0.02, quality_min=0.8))
    taken = steer(controller, 4000)
    assert 1000.0 * np.mean([each.cost_usd for each in taken[2000:]]) == pytest.approx(0.02, rel=0.05)
    assert "infeasible" in {stands.word for stands in controller.standing().values()}


class _Decision:
    """As much of a decision as a book reads."""

    def __init__(self, expected: Expected) -> None:
        from rb_litellm.core.decision.breakdown import Predictions
        from rb_litellm.core.types import Prediction

        times = np.array([expected.e2e_s])
        predictions = Predictions(
            np.array([expected.quality]),
            np.ones(1),
            LatencyForecast(times, times, times, times),
            np.array([expected.cost_usd]),
        )
        self.expected = Prediction(expected.quality, 1.0, 0.0, 0.0, 0.0, expected.e2e_s, expected.cost_usd)
        self.breakdown = type("B", (), {"predictions": predictions, "allowed": np.ones(1, dtype=bool)})()


def test_workers_move_by_each_others_requests_and_count_none_twice():
    targets, name = Targets(cost_usd_per_1k=0.02), "one"
    one, other = TargetBook(), TargetBook()
    other.controller(name, targets)
    for number in range(60):
        one.decided(name, targets, number, _Decision(GOOD))
        other.decided(name, targets, number, _Decision(CHEAP))
    other.heard({"one": one.told()})
    before = other.controller(name, targets).log_prices["cost_usd_per_1k"]
    one.decided(name, targets, 99, _Decision(GOOD))
    for _ in range(2):
        other.heard({"one": one.told()})
    moved = other.controller(name, targets).log_prices["cost_usd_per_1k"] - before
    assert moved == pytest.approx(STEP["cost_usd_per_1k"] * 1.5, abs=1e-3)


def test_a_worker_that_joins_starts_from_the_prices_of_the_others():
    targets, name = Targets(cost_usd_per_1k=0.02), "one"
    old, new = TargetBook(), TargetBook()
    for number in range(100):
        old.decided(name, targets, number, _Decision(GOOD))
    new.heard({"old": old.told()})
    assert new.controller(name, targets).log_prices == pytest.approx(
        old.controller(name, targets).log_prices, abs=1e-3
    )


def test_what_the_client_waited_before_counts_for_the_time():
    targets, name = Targets(e2e_p95_s=4.0), "one"
    book = TargetBook()
    decision = _Decision(Expected(0.00001, 1.0, 0.5, 0.00001, 1.0, 0.5))
    for number in range(60):
        book.decided(name, targets, number, decision, waited_s=5.0)
        book.finished(number, 0.00001, 1.0)
    standing = book.controller(name, targets).standing()["e2e_p95_s"]
    assert standing.present > 5.0
    assert standing.word == "infeasible"


def test_a_book_is_bounded(monkeypatch):
    from rb_litellm.core.targets import book as module

    monkeypatch.setattr(module, "MAX_OWNERS", 100)
    monkeypatch.setattr(module, "MAX_OPEN", 50)
    book, targets = TargetBook(), Targets(cost_usd_per_1k=0.02)
    for number in range(200):
        book.decided(name_of(str(number), targets), targets, number, _Decision(CHEAP))
        book.finished(-number, 1.0, 1.0)
    assert len(book) == 100
    assert len(book._open) == 50
    assert len(book.told()) == MAX_TOLD
