"""What the ledger promises, one behaviour each."""

import math

import numpy as np
import pytest

from rb_litellm.core.servers.streams import Chunks
from rb_litellm.core.types import Prediction
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.calls import MAX_TRIED
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from tests.state.state_samples import prediction

A, B = AttemptKey("call-a", 0), AttemptKey("call-b", 0)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(DeploymentIndex(), LeaseRule())


def open_one(ledger: Ledger, key: AttemptKey = A, deployment: str = "d", now: float = 0.0, **more) -> None:
    ledger.open(key, deployment, now=now, **{"input_tokens": 100, "prediction": prediction(), **more})


def test_an_open_attempt_counts_with_its_input_and_expected_output(ledger):
    open_one(ledger)
    sums = ledger.sums(0.0)
    assert (sums.in_flight, sums.pending_prefill_tokens, sums.pending_decode_tokens) == ([1], [100], [200])


def test_one_for_several_answers_counts_as_so_many_of_one_prompt(ledger):
    open_one(ledger, answers=3, in_flight=2.0)
    sums = ledger.sums(0.0)
    assert (sums.in_flight, sums.pending_prefill_tokens, sums.pending_decode_tokens) == ([3], [100], [600])
    # All three write: 150 tokens a second, as one writes 50.
    assert ledger.sums(1.5).pending_decode_tokens == pytest.approx([450])
    ledger.cap_decode_rate("d", 0.04)
    assert ledger.decode_rates() == pytest.approx([75])
    assert ledger.open_count("d") == 1
    outcome = ledger.close(A, 4.0, "success")
    # Each of them runs beside the two others, and beside those that were there.
    assert (outcome.in_flight, outcome.beside) == (4.0, 4.0)
    assert ledger.sums(4.0).in_flight == [0]


def test_those_that_others_sent_are_told_apart_from_its_own_in_whatever_order_these_are_served(ledger):
    """Of eight sent at once to a server with one slot the last is served first, beside one of another's."""
    for number in range(8):
        open_one(ledger, AttemptKey(str(number), 0), in_flight=number + 1.0)
    first = ledger.first_token(AttemptKey("7", 0), 1.0)
    second = ledger.first_token(AttemptKey("0", 0), 2.0)
    assert (first.ahead.requests, first.ahead.others) == (0, 1.0)
    assert (second.ahead.requests, second.ahead.others) == (1, 1.0)
    assert second.ahead.share == 0.5


def test_a_closed_attempt_counts_for_nothing(ledger):
    open_one(ledger)
    ledger.close(A, 1.0, "success")
    sums = ledger.sums(1.0)
    assert (sums.in_flight, sums.pending_prefill_tokens, sums.pending_decode_tokens) == ([0], [0], [0])


def test_only_the_first_close_has_an_outcome(ledger):
    open_one(ledger)
    assert ledger.close(A, 1.0, "success") is not None
    assert ledger.close(A, 2.0, "failure") is None
    assert ledger.closed == {"success": 1}


def test_closing_what_was_never_opened_changes_nothing(ledger):
    open_one(ledger, B)
    assert ledger.close(A, 1.0, "success") is None
    assert len(ledger) == 1


def test_closing_one_attempt_leaves_the_others_untouched(ledger):
    for i in range(600):
        open_one(ledger, AttemptKey(f"c{i}", 0), f"d{i % 3}", input_tokens=i)
    for i in range(0, 600, 2):
        ledger.close(AttemptKey(f"c{i}", 0), 0.0, "success")
    sums = ledger.sums(0.0)
    left = [i for i in range(600) if i % 2]
    assert sums.in_flight.tolist() == [100, 100, 100]
    assert sums.pending_prefill_tokens.tolist() == [sum(i for i in left if i % 3 == d) for d in range(3)]


def test_pending_decode_falls_by_a_token_per_tpot_after_the_predicted_first_token(ledger):
    open_one(ledger)
    assert ledger.sums(0.5).pending_decode_tokens == [200]
    assert ledger.sums(1.5).pending_decode_tokens == pytest.approx([150])


def test_pending_decode_falls_from_the_first_token_that_was_seen(ledger):
    open_one(ledger)
    ledger.first_token(A, 3.0)
    assert ledger.sums(3.0).pending_decode_tokens == [200]
    assert ledger.sums(4.0).pending_decode_tokens == pytest.approx([150])


def test_prefill_shrinks_towards_the_predicted_first_token(ledger):
    open_one(ledger)
    assert ledger.sums(0.25).pending_prefill_tokens == pytest.approx([50])
    assert ledger.sums(0.5).pending_prefill_tokens == [0]


def test_prefill_stands_still_while_the_attempt_waits_in_the_queue(ledger):
    open_one(ledger, prediction=prediction(wait_s=0.4, ttft_s=0.5))
    assert ledger.sums(0.4).pending_prefill_tokens == pytest.approx([100])
    assert ledger.sums(0.45).pending_prefill_tokens == pytest.approx([50])


def test_a_first_token_ends_the_prefill(ledger):
    open_one(ledger)
    ledger.first_token(A, 0.1)
    assert ledger.sums(0.1).pending_prefill_tokens == [0]


def test_only_the_first_first_token_counts(ledger):
    open_one(ledger)
    ledger.first_token(A, 0.4)
    ledger.first_token(A, 2.0)
    assert ledger.close(A, 3.0, "success").ttft_s == pytest.approx(0.4)


def test_an_attempt_that_outlives_its_prediction_keeps_a_small_remainder(ledger):
    open_one(ledger)
    assert ledger.sums(1000.0).pending_decode_tokens == [200 / 16]


def test_an_attempt_without_prediction_counts_as_one_in_flight(ledger):
    open_one(ledger, prediction=None)
    sums = ledger.sums(0.0)
    assert (sums.in_flight, sums.pending_decode_tokens) == ([1], [0])
    assert ledger.close(A, 2.0, "success").predicted is None


def test_an_outcome_pairs_predicted_and_measured(ledger):
    open_one(ledger, in_flight=3.0, pending_prefill_tokens=70.0)
    ledger.first_token(A, 0.75)
    outcome = ledger.close(A, 2.75, "success", output_tokens=101, input_tokens=90, cost_usd=0.002)
    assert outcome.predicted == prediction()
    assert (outcome.deployment, outcome.closed_by, outcome.in_flight) == ("d", "success", 3.0)
    assert (outcome.open_s, outcome.ttft_s, outcome.tpot_s) == (2.75, 0.75, pytest.approx(0.02))
    assert (outcome.output_tokens, outcome.input_tokens, outcome.cost_usd) == (101, 90, 0.002)


def test_an_outcome_without_usage_leaves_the_measurement_open(ledger):
    open_one(ledger)
    outcome = ledger.close(A, 2.0, "task-end")
    assert (outcome.ttft_s, outcome.tpot_s, outcome.output_tokens) == (None, None, None)


def test_a_failure_names_its_error(ledger):
    open_one(ledger)
    assert ledger.close(A, 1.0, "failure", error="Timeout").error == "Timeout"


def test_a_lease_is_the_predicted_time_times_a_factor_within_bounds():
    rule = LeaseRule(factor=4.0, floor_s=30.0, ceiling_s=900.0)
    assert [rule.lease_s(e2e) for e2e in (1.0, 20.0, 1000.0)] == [30.0, 80.0, 900.0]
    assert rule.lease_s(None) == 120.0
    assert rule.lease_s(math.nan) == 30.0


def test_an_attempt_that_nothing_closes_ends_by_its_lease(ledger):
    open_one(ledger)
    open_one(ledger, B, now=10.0)
    assert ledger.expire(29.9) == []
    [outcome] = ledger.expire(30.0)
    assert (outcome.closed_by, len(ledger)) == ("lease", 1)
    assert ledger.close(A, 31.0, "success") is None


def test_a_changed_lease_rule_holds_for_attempts_opened_from_then_on(ledger):
    open_one(ledger)
    ledger.lease = LeaseRule(factor=1.0, floor_s=1.0, ceiling_s=5.0)
    open_one(ledger, B)
    assert [o.closed_by for o in ledger.expire(6.0)] == ["lease"]
    assert ledger.is_open(A)


def test_at_the_bound_the_attempt_whose_lease_ends_first_makes_room():
    ledger = Ledger(DeploymentIndex(), LeaseRule(), max_open=2)
    open_one(ledger, A, now=0.0)
    open_one(ledger, B, now=1.0)
    open_one(ledger, AttemptKey("call-c", 0), now=2.0)
    assert len(ledger) == 2
    assert not ledger.is_open(A)
    assert [o.closed_by for o in ledger.expire(2.0)] == ["bound"]


def test_a_retry_is_a_new_attempt_that_knows_where_the_call_has_been(ledger):
    assert ledger.next_attempt("call-a") == 0
    open_one(ledger, A, "first")
    ledger.close(A, 1.0, "failure", error="RateLimitError")
    assert ledger.next_attempt("call-a") == 1
    open_one(ledger, AttemptKey("call-a", 1), "second")
    assert ledger.tried("call-a") == {"first", "second"}
    assert ledger.latest_open("call-a") == AttemptKey("call-a", 1)


def test_a_late_close_of_the_first_attempt_leaves_the_retry_open(ledger):
    open_one(ledger, A, "first")
    ledger.close(A, 1.0, "next-pick")
    retry = AttemptKey("call-a", 1)
    open_one(ledger, retry, "second")
    assert ledger.close(A, 2.0, "failure") is None
    assert ledger.is_open(retry)


def test_opening_the_same_attempt_twice_is_an_error(ledger):
    open_one(ledger)
    with pytest.raises(ValueError, match="opened before"):
        open_one(ledger)
    assert len(ledger) == 1


def test_calls_are_forgotten_oldest_first_once_all_their_attempts_are_closed():
    ledger = Ledger(DeploymentIndex(), LeaseRule(), max_closed_calls=2)
    keys = [AttemptKey(f"c{i}", 0) for i in range(4)]
    for key in keys:
        open_one(ledger, key)
    for key in keys[1:]:
        ledger.close(key, 1.0, "success")
    assert [ledger.next_attempt(key.call_id) for key in keys] == [1, 0, 1, 1]


def test_a_call_id_that_is_used_forever_is_remembered_within_a_bound(ledger):
    for i in range(200):
        key = AttemptKey("same", i)
        open_one(ledger, key, f"d{i}")
        ledger.close(key, 0.0, "success")
    assert len(ledger.tried("same")) == MAX_TRIED
    assert ledger.next_attempt("same") == 200


def test_predictions_that_are_no_numbers_never_reach_the_sums(ledger):
    for i, odd in enumerate((math.nan, math.inf, -math.inf, -5.0)):
        wrong = Prediction(odd, odd, odd, odd, odd, odd, odd)
        open_one(ledger, AttemptKey(f"c{i}", 0), prediction=wrong)
    for now in (0.0, 1.0, 1e6):
        sums = ledger.sums(now)
        for array in (sums.in_flight, sums.pending_prefill_tokens, sums.pending_decode_tokens):
            assert np.isfinite(array).all()
            assert (array >= 0).all()


def test_a_deployment_in_time_is_not_slowed_down(ledger):
    open_one(ledger)
    assert ledger.overdue(4.0) == [1.0]


def test_a_hung_deployment_looks_slower_with_every_second(ledger):
    for i in range(4):
        open_one(ledger, AttemptKey(f"hung{i}", 0), "hung")
        open_one(ledger, AttemptKey(f"fine{i}", 0), "fine", now=18.0)
    first, second = ledger.overdue(20.0), ledger.overdue(25.0)
    assert first[1] == second[1] == 1.0
    assert 1.5 < first[0] < second[0]


def test_a_stream_without_a_first_token_is_suspected_long_before_its_end_is_due(ledger):
    open_one(ledger, A, "streams", streams=True)
    open_one(ledger, B, "whole")
    late = ledger.overdue(6.0)
    assert late[0] > 1.0
    assert late[1] == 1.0


def test_a_first_token_clears_the_suspicion(ledger):
    open_one(ledger, streams=True)
    ledger.first_token(A, 5.0)
    assert ledger.overdue(6.0) == [1.0]


def test_the_outcome_says_how_many_chunks_had_come(ledger):
    open_one(ledger)
    open_one(ledger, B)
    written = Chunks()
    ledger.first_token(A, 1.0, written)
    ledger.first_token(B, 1.0)
    written.chunks = 7
    assert ledger.close(A, 2.0, "success").chunks == 7
    assert ledger.close(B, 2.0, "success").chunks == 0


def test_the_stream_that_began_last_says_when_the_latest_chunk_came_from_its_server(ledger):
    servers = np.array([ledger._index.server(ledger._index.row(name)) for name in ("a", "b", "c")])
    assert ledger.latest_chunk_s(servers) is None
    for key, deployment in ((A, "a"), (B, "a"), (AttemptKey("c", 0), "b")):
        open_one(ledger, key, deployment)
        progress = Chunks()
        ledger.first_token(key, 1.0, progress)
        progress.latest_s = 2.0 + len(ledger._streams)
    assert ledger.latest_chunk_s(servers).tolist() == [4.0, 5.0, -np.inf]
    ledger.close(B, 6.0, "success")
    assert ledger.latest_chunk_s(servers).tolist() == [3.0, 5.0, -np.inf]
    ledger.close(A, 6.0, "success")
    ledger.close(AttemptKey("c", 0), 6.0, "success")
    assert ledger.latest_chunk_s(servers) is None
    assert not ledger._streams._on


def test_more_streams_than_are_looked_at_in_one_step_have_their_turn_in_the_next(ledger):
    for n in range(5):
        open_one(ledger, AttemptKey(f"c{n}", 0), f"d{n}")
        ledger.first_token(AttemptKey(f"c{n}", 0), 1.0, Chunks())
    turns = [[stream.deployment for stream in ledger.streams(2)] for _ in range(3)]
    assert turns == [["d0", "d1"], ["d2", "d3"], ["d4", "d0"]]


def test_a_deployment_seen_to_write_slower_is_late_by_that_only(ledger):
    told = prediction(output_tokens=200, ttft_s=0.0, tpot_s=0.05)
    open_one(ledger, prediction=told)
    open_one(ledger, B, "other", prediction=told)
    ledger.first_token(A, 0.1)
    ledger.first_token(B, 0.1)
    assert ledger.overdue(30.0).min() > 1.0
    ledger.cap_decode_rate("d", 0.15)
    assert ledger.overdue(30.0).tolist() == [1.0, ledger.overdue(30.0)[1]]
    assert ledger.sums(10.1).pending_decode_tokens[0] == pytest.approx(200 - 10.0 / 0.15)
    assert ledger.overdue(100.0)[0] > 1.0


def test_nobody_is_held_to_be_less_late_by_being_faster(ledger):
    open_one(ledger)
    before = ledger.overdue(100.0)
    ledger.cap_decode_rate("d", 1e-6)
    assert ledger.overdue(100.0) == before


def test_what_passes_until_the_server_is_asked_is_not_its_time(ledger):
    open_one(ledger)
    assert ledger.asked(A, 0.2) == pytest.approx(0.2)
    assert ledger.asked(A, 0.3) is None
    ledger.first_token(A, 0.75)
    outcome = ledger.close(A, 2.75, "success", output_tokens=101)
    assert (outcome.sending_s, outcome.ttft_s, outcome.open_s) == pytest.approx((0.2, 0.55, 2.55))
    assert outcome.tpot_s == pytest.approx(0.02)


def test_who_answers_already_or_is_not_open_is_not_asked(ledger):
    assert ledger.asked(A, 0.2) is None
    open_one(ledger)
    ledger.first_token(A, 0.1)
    assert ledger.asked(A, 0.2) is None
