"""Attempts: opened at a pick, closed by the first word of an end, finished when nothing more will come."""

import asyncio
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.balancer import Assignment
from rb_litellm.core.decision.breakdown import Decision
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.hardware import latency_prior
from rb_litellm.core.latency.learning.evidence import Evidence, evidence_of
from rb_litellm.core.types import Prediction
from rb_litellm.litellm_adapter.lifecycle import unsettled
from rb_litellm.litellm_adapter.lifecycle.attempts import Attempts
from rb_litellm.state.attempt import LeaseRule
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger

PREDICTED = Prediction(
    quality=0.5, output_tokens=50.0, wait_s=0.0, ttft_s=0.2, tpot_s=0.02, e2e_s=1.2, cost_usd=0.1
)


def to(id):
    deployment = Deployment(
        id=id,
        group="auto",
        model="m",
        tier="t",
        prior=latency_prior("m", hosted=False),
        input_usd_per_token=0.0,
        output_usd_per_token=0.0,
    )
    decision = Decision(
        0,
        1.0,
        PREDICTED,
        3,
        in_flight=2.0,
        pending_prefill_tokens=7.0,
        prefill_tokens=0.0,
        compute_breakdown=Mock(),
    )
    return Assignment(deployment, decision, (deployment,))


class Book:
    """Attempts with their ledger and everything they finished."""

    def __init__(self):
        self.finished = []
        self.ledger = Ledger(DeploymentIndex(), LeaseRule(factor=2.0, floor_s=5.0, ceiling_s=60.0))
        self.attempts = Attempts(self.ledger, self.finished.append)

    def open(self, call="c", id="a", now=0.0, streams=False):
        return self.attempts.open(call, to(id), 10, now, streams)


@pytest.fixture
def book():
    return Book()


def test_an_open_attempt_is_load_and_a_closed_one_is_none(book):
    book.open()
    assert book.ledger.open_count("a") == 1
    book.attempts.close("c", "success-hook", 1.0)
    assert book.ledger.open_count("a") == 0


def test_an_answered_attempt_is_finished_when_its_usage_is_known(book):
    book.open()
    book.attempts.close("c", "success-hook", 1.0, deployment="a")
    assert book.finished == []
    book.attempts.complete("c", "a", 50, 0.2, cached=False)
    (outcome,) = book.finished
    assert (outcome.deployment, outcome.closed_by, outcome.output_tokens) == ("a", "success-hook", 50)
    assert (outcome.in_flight, outcome.pending_prefill_tokens) == (2.0, 7.0)
    assert outcome.cost_usd == 0.2
    assert outcome.error is None
    assert outcome.tpot_s > 0.0


def test_the_second_word_of_an_end_changes_nothing(book):
    book.open()
    for closed_by in ("success-hook", "success-event", "task-end"):
        book.attempts.close("c", closed_by, 1.0, deployment="a")
        book.attempts.complete("c", "a", 50, None, cached=False)
    assert [outcome.closed_by for outcome in book.finished] == ["success-hook"]


def test_a_retry_closes_the_attempt_before_it_as_failed(book):
    book.open(id="a")
    book.open(id="b", now=1.0)
    assert (book.ledger.open_count("a"), book.ledger.open_count("b")) == (0, 1)
    assert [(o.deployment, o.error) for o in book.finished] == [("a", "Retried")]


def test_a_retry_that_is_put_off_leaves_no_load_behind(book):
    book.open(id="a")
    book.attempts.give_up_earlier("c", 1.0, None)
    assert book.ledger.open_count("a") == 0
    book.open(id="b", now=5.0)
    assert [(o.deployment, o.error, o.open_s) for o in book.finished] == [("a", "Retried", 1.0)]


def test_whoever_waits_for_room_is_told_of_every_end():
    ends = []
    book = Book()
    book.attempts = Attempts(book.ledger, book.finished.append, freed=lambda: ends.append(len(book.ledger)))
    book.open()
    assert ends == []
    book.attempts.close("c", "success-hook", 1.0)
    assert ends == [0]


def test_a_failure_event_that_comes_after_the_retry_does_not_close_the_retry(book):
    book.open(id="a")
    book.open(id="b", now=1.0)
    book.attempts.failed("c", "a", 2.0, "Timeout", at_once=False)
    assert book.ledger.open_count("b") == 1


def test_nor_does_it_where_the_retry_went_to_the_same_deployment(book):
    book.open(id="a")
    book.open(id="a", now=1.0)
    book.attempts.failed("c", "a", 2.0, "Timeout", at_once=False)
    assert book.ledger.open_count("a") == 1


def test_a_failure_event_in_time_closes_and_finishes(book):
    book.open()
    book.attempts.failed("c", "a", 1.0, "Timeout", at_once=False)
    assert len(book.ledger) == 0
    assert [outcome.error for outcome in book.finished] == ["Timeout"]


def test_an_answer_from_a_deployment_that_is_not_ours_teaches_nothing(book):
    book.open(id="a")
    book.attempts.close("c", "success-event", 1.0, deployment="elsewhere")
    book.attempts.complete("c", "elsewhere", 50, None, cached=False)
    assert len(book.ledger) == 0
    assert [outcome.error for outcome in book.finished] == ["AnsweredElsewhere"]


def of_own_account(book):
    book.attempts.open("c", to("a"), 10, 0.0, False, own_account=True)


def test_an_answer_of_a_clients_own_account_is_known_under_whatever_id(book):
    of_own_account(book)
    book.attempts.close("c", "success-event", 1.0, deployment="made-up-by-litellm")
    book.attempts.complete("c", "made-up-by-litellm", 50, None, cached=False)
    (outcome,) = book.finished
    assert (outcome.error, outcome.output_tokens) == (None, 50)
    assert evidence_of(outcome) is Evidence.UNTIMED


@pytest.mark.parametrize("at_once", [True, False])
def test_a_failure_of_a_clients_own_account_is_not_the_deployments(book, at_once):
    of_own_account(book)
    book.attempts.failed("c", "made-up-by-litellm", 1.0, "AuthenticationError", at_once)
    assert len(book.ledger) == 0
    assert [evidence_of(outcome) for outcome in book.finished] == [Evidence.UNTIMED]
    assert book.ledger.failed("c") == {"a"}


def test_an_answer_from_a_cache_teaches_nothing(book):
    book.open()
    book.attempts.close("c", "success-event", 0.001, deployment="a")
    book.attempts.complete("c", "a", 50, 0.0, cached=True)
    assert [outcome.error for outcome in book.finished] == ["CacheHit"]


def test_who_was_ahead_is_told_where_it_teaches_by_the_first_token_or_by_the_end(book):
    begun = []
    book.attempts = Attempts(book.ledger, book.finished.append, begun.append)
    book.open("before", streams=True)
    for call, at_s, first_s in (("usual", 1.0, 0.25), ("early", 3.0, 0.001)):
        book.open(call, now=at_s, streams=True)
        book.attempts.first_token(call, at_s + first_s)
        book.attempts.close(call, "success-hook", at_s + 1.0)
        book.attempts.complete(call, "a", 50, 0.2, cached=False)
    assert [(its.call_id, its.ahead.requests) for its in begun] == [("usual", 1)]
    usual, early = book.finished
    assert (usual.first_token_learned, usual.ahead) == (True, None)
    assert (early.first_token_learned, early.ahead.requests) == (False, 1)


def test_a_stream_shows_its_first_token(book):
    book.open(streams=True)
    book.attempts.first_token("c", 0.5)
    book.attempts.first_token("c", 0.9)
    book.attempts.close("c", "stream-end", 1.5)
    book.attempts.complete("c", None, 11, None, cached=False)
    (outcome,) = book.finished
    assert outcome.ttft_s == pytest.approx(0.5)
    assert outcome.tpot_s == pytest.approx(0.1)


def test_events_of_calls_that_were_never_ours_change_nothing(book):
    book.attempts.first_token("x", 0.0)
    book.attempts.close("x", "success-hook", 0.0)
    book.attempts.failed("x", "a", 0.0, "Timeout", at_once=False)
    book.attempts.complete("x", "a", 5, None, cached=False)
    assert book.finished == []


def test_what_nothing_ever_closes_ends_by_its_lease(book):
    book.open(now=0.0)
    assert book.attempts.expire(4.0) == 0
    assert book.attempts.expire(6.0) == 1
    assert len(book.ledger) == 0
    assert [outcome.closed_by for outcome in book.finished] == ["lease"]


def test_a_client_that_keeps_one_id_has_all_its_requests_counted(book):
    for i in range(50):
        book.open("same", "a", now=float(i))
        book.attempts.close("same", "success-hook", i + 0.5, deployment="a")
        book.attempts.complete("same", "a", 5, None, cached=False)
    assert [o.error for o in book.finished] == [None] * 50


def test_an_attempt_without_a_prediction_is_counted_and_closed_alike(book):
    book.attempts.open_unpredicted("c", "a", 0.0)
    assert book.ledger.open_count("a") == 1
    book.attempts.close("c", "success-hook", 1.0, deployment="a")
    book.attempts.complete("c", "a", 5, None, cached=False)
    assert [(o.deployment, o.predicted) for o in book.finished] == [("a", None)]


def test_answers_that_wait_for_their_usage_are_bounded(book, monkeypatch):
    monkeypatch.setattr(unsettled, "MAX_ANSWERED", 5)
    for i in range(20):
        book.open(f"c{i}")
        book.attempts.close(f"c{i}", "success-hook", 1.0)
    assert len(book.finished) == 15


async def test_the_end_of_a_requests_task_is_told_unless_it_was_closed_before(book):
    told = []

    async def request(name, closed):
        key = book.open(name)
        book.attempts.watch(key, asyncio.current_task(), lambda k, error: told.append((k.call_id, error)))
        if closed:
            book.attempts.close(name, "success-hook", 1.0)
        if name == "fails":
            raise OSError
        if name == "leaves":
            await asyncio.sleep(60)

    tasks = {name: asyncio.ensure_future(request(name, name == "closed")) for name in
             ("ends", "closed", "fails", "leaves")}  # fmt: skip
    await asyncio.sleep(0)
    tasks["leaves"].cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    await asyncio.sleep(0)
    assert sorted(told) == [("ends", None), ("fails", "OSError"), ("leaves", "CancelledError")]


EVENTS = ("open", "first", "close", "fail", "complete", "cached", "elsewhere", "expire")


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 2), st.sampled_from("ab")), max_size=60))
def test_whatever_comes_in_whatever_order_every_attempt_is_finished_at_most_once(events):
    book = Book()
    opened = 0
    for now, (event, call, id) in enumerate(events):
        call_id = f"c{call}"
        if event == "open":
            book.open(call_id, id, float(now))
            opened += 1
        elif event == "first":
            book.attempts.first_token(call_id, float(now))
        elif event == "close":
            book.attempts.close(call_id, "hook", float(now))
        elif event == "fail":
            book.attempts.failed(call_id, id, float(now), "E", at_once=False)
        elif event == "complete":
            book.attempts.complete(call_id, id, 5, None, cached=False)
        elif event == "cached":
            book.attempts.complete(call_id, id, 5, None, cached=True)
        elif event == "elsewhere":
            book.attempts.close(call_id, "hook", float(now), deployment="z")
        else:
            book.attempts.expire(float(now))
        assert len(book.attempts._open) == len(book.ledger)
        accounted = len(book.ledger) + len(book.attempts._unsettled) + len(book.finished)
        assert accounted == opened
    for call in range(3):
        book.attempts.close(f"c{call}", "end", 1e3)
    assert len(book.ledger) == 0
    assert book.attempts._open == {}


def test_a_failure_that_is_told_at_once_closes_even_a_second_attempt_on_the_same_deployment(book):
    book.open(id="a")
    book.open(id="a", now=1.0)
    book.attempts.failed("c", "a", 2.0, "Timeout", at_once=True)
    assert len(book.ledger) == 0
    assert [outcome.closed_by for outcome in book.finished] == ["next-pick", "attempt-failed"]


@pytest.mark.parametrize(("asked", "error"), [(False, "NotSent"), (True, "APIConnectionError")])
def test_what_failed_in_litellm_after_the_server_was_asked_failed_on_its_answer(book, asked, error):
    book.open()
    if asked:
        book.attempts.asked("c", "a", 0.1)
    book.attempts.failed("c", "a", 0.2, "NotSent", at_once=True)
    assert [outcome.error for outcome in book.finished] == [error]


class TestRequestsOfOneCallId:
    """A client may send a call id of its own choice, and the same one with many requests."""

    @pytest.fixture
    async def tasks(self):
        running = [asyncio.create_task(asyncio.Event().wait()) for _ in range(2)]
        yield running
        for task in running:
            task.cancel()

    def open(self, book, id, task):
        key = book.attempts.open("c", to(id), 10, 0.0, False, task)
        book.attempts.watch(key, task, lambda key, error: None)

    async def test_at_the_same_time_both_count(self, book, tasks):
        for id, task in zip("ab", tasks, strict=True):
            self.open(book, id, task)
        assert (book.ledger.open_count("a"), book.ledger.open_count("b")) == (1, 1)

    async def test_each_end_closes_the_attempt_on_its_own_deployment(self, book, tasks):
        for id, task in zip("ab", tasks, strict=True):
            self.open(book, id, task)
        book.attempts.close("c", "success-hook", 1.0, deployment="a")
        assert (book.ledger.open_count("a"), book.ledger.open_count("b")) == (0, 1)

    async def test_a_pick_of_the_same_task_is_a_retry(self, book, tasks):
        for id in "ab":
            self.open(book, id, tasks[0])
        assert (book.ledger.open_count("a"), book.ledger.open_count("b")) == (0, 1)

    def test_one_after_the_other_they_avoid_only_what_failed(self, book):
        for id, error in (("a", None), ("b", "Timeout")):
            book.open(id=id)
            book.attempts.close("c", "task-end", 1.0, error=error)
        assert book.ledger.failed("c") == {"b"}
