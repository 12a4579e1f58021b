"""The record of a decision: complete, bounded, and without a word of the prompt."""

import json
from dataclasses import asdict, replace

import pytest

from rb_litellm.core.decision.scoring import PRESETS
from rb_litellm.telemetry.records.decision import MAX_CANDIDATES, MAX_NAME, as_json
from rb_litellm.telemetry.records.recorder import Recorder
from tests.telemetry.decisions import LARGE, PROMPT, SMALL, deployment, outcome, record


def test_it_names_what_was_chosen_and_what_it_was_chosen_by():
    told = as_json(record(Recorder(wall=lambda: 1000.0), [*SMALL, *LARGE], weights="quality"))
    assert told["deployment"].startswith("large-")
    assert told["model"] == "large"
    assert told["requested"] == "auto"
    assert told["candidates"] == 8
    assert told["reason"] == "joint"
    assert told["weights"] == asdict(PRESETS["quality"])
    assert told["at_s"] == 1000.0
    assert told["predicted"]["quality"] == 0.9


def test_a_candidates_terms_sum_to_its_score():
    for candidate in record(Recorder(), [*SMALL, *LARGE]).top:
        assert sum(candidate["terms"].values()) == pytest.approx(candidate["score"])


@pytest.mark.parametrize("candidates", [LARGE, [*SMALL, *LARGE]])
def test_the_chosen_candidates_figures_are_what_was_predicted_of_it(candidates):
    told = as_json(record(Recorder(), candidates))
    chosen = next(one for one in told["top"] if one["deployment"] == told["deployment"])
    assert {name: chosen[name] for name in told["predicted"]} == told["predicted"]
    assert len(told["top"]) == min(len(candidates), MAX_CANDIDATES)


def test_the_best_candidates_come_first_and_the_chosen_one_is_among_them():
    for _ in range(20):
        made = record(Recorder(), [*LARGE, *SMALL])
        scores = [candidate["score"] for candidate in made.top]
        assert scores == sorted(scores, reverse=True)
        assert made.deployment in {candidate["deployment"] for candidate in made.top}
        assert len(made.top) == MAX_CANDIDATES


def test_the_best_of_every_model_is_recorded_even_behind_many_of_another():
    made = record(Recorder(), [*SMALL, *LARGE], weights="cost")
    assert {candidate["model"] for candidate in made.top} == {"small", "large"}


def test_no_word_of_the_prompt_is_in_it():
    told = json.dumps(as_json(record(Recorder(), SMALL)))
    assert not any(word in told for word in PROMPT.text.split() if len(word) > 3)


def test_its_size_is_bounded_whatever_the_names():
    long = "n" * 5000
    many = [deployment(f"{i}{long}", f"{i}{long}") for i in range(200)]
    made = record(Recorder(), many, call_id=long, requested=long, tried=[long] * 50)
    told = as_json(made)
    assert len(json.dumps(told)) < 8192
    assert len(told["deployment"]) == MAX_NAME


def test_what_was_measured_is_added_when_the_attempt_is_over():
    recorder = Recorder()
    made = record(recorder, SMALL)
    assert "measured" not in as_json(made)
    recorder.finished(outcome(ttft_s=0.25, output_tokens=80, cost_usd=0.0001))
    assert as_json(made)["measured"] == {
        "closed_by": "success-hook",
        "open_s": 2.0,
        "ttft_s": 0.25,
        "output_tokens": 80,
        "cost_usd": 0.0001,
    }


def test_the_simple_rule_leaves_a_record_too():
    made = Recorder().fell_back(
        deployment="d",
        model="m",
        candidates=3,
        call_id="c",
        attempt=1,
        requested="auto",
        tried=["other"],
        duration_s=0.002,
    )
    told = as_json(made)
    assert told["reason"] == "fewest-open"
    assert told["tried"] == ["other"]
    assert "predicted" not in told


class TestBaseline:
    def test_tells_what_the_configured_model_would_have_cost(self):
        recorder = Recorder()
        recorder.baseline.model = "large"
        made = record(recorder, [*SMALL, *LARGE], weights="cost")
        assert made.model == "small"
        assert made.baseline.quality == 0.9
        assert made.baseline.cost_usd == pytest.approx(made.prediction.cost_usd * 10)

    def test_is_silent_where_it_was_no_candidate(self):
        recorder = Recorder()
        recorder.baseline.model = "large"
        assert record(recorder, SMALL).baseline is None

    def test_is_silent_unless_configured(self):
        assert record(Recorder(), [*SMALL, *LARGE]).baseline is None

    def test_follows_a_changed_setting(self):
        recorder = Recorder()
        recorder.baseline.model = "large"
        candidates = [*SMALL, *LARGE]
        record(recorder, candidates)
        recorder.baseline.model = "small"
        assert record(recorder, candidates).baseline.quality == 0.5


def test_a_filter_that_removed_candidates_is_named_with_their_number():
    made = replace(record(Recorder(), SMALL), removed={"ttft": 3}, relaxed=("quality",))
    told = as_json(made)
    assert told["removed"] == {"ttft": 3}
    assert told["relaxed"] == ["quality"]
