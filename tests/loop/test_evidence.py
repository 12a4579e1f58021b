"""What an answer is evidence of: each of these once taught something that it does not say."""

import asyncio
from datetime import datetime, timedelta

import aiohttp.web
import pytest

from rb_litellm.core.latency.learning.evidence import Evidence, Failure, evidence_of, failure_of, taught_by
from rb_litellm.core.types import Outcome, Prediction
from rb_litellm.litellm_adapter.lifecycle.attempts import Attempts
from rb_litellm.litellm_adapter.lifecycle.callbacks import _seconds
from rb_litellm.litellm_adapter.lifecycle.evidence import Usage
from rb_litellm.litellm_adapter.lifecycle.usage import estimated_tokens, is_receipt, reasoning_tokens
from rb_litellm.state.servers.metrics import read_metrics
from rb_litellm.state.servers.scraper import _get
from tests.loop.world import Server, Traffic, World, Written

PREDICTED = Prediction(0.5, 100.0, 0.0, 0.5, 0.02, 2.5, 0.001)
OUTCOME = Outcome("a", "success-event", PREDICTED, 10, 0.0, 0.0, open_s=2.5, ttft_s=0.5, output_tokens=100)


@pytest.mark.parametrize(
    ("facts", "evidence"),
    [
        ({}, Evidence.WHOLE),
        ({"cut": True}, Evidence.CUT),
        ({"estimated": True}, Evidence.ESTIMATED),
        ({"choices": 8}, Evidence.PARALLEL),
        ({"timed": False}, Evidence.UNTIMED),
        ({"error": "CacheHit"}, Evidence.UNTIMED),
        ({"error": "AuthenticationError", "own_account": True}, Evidence.UNTIMED),
        ({"error": "RateLimitError", "own_account": True}, Evidence.UNTIMED),
        ({"error": "Timeout", "ttft_s": None}, Evidence.CENSORED),
        ({"error": "CancelledError", "ttft_s": None}, Evidence.CENSORED),
        ({"error": "CancelledError"}, Evidence.UNKNOWN),
        ({"error": "Timeout"}, Evidence.FAILED),
        ({"error": "Timeout", "timed": False}, Evidence.UNKNOWN),
        ({"error": "RateLimitError"}, Evidence.LIMITED),
        ({"error": "ContextWindowExceededError"}, Evidence.REJECTED),
        ({"error": "MalformedRequestFieldError"}, Evidence.REJECTED),
        ({"error": "NotSent"}, Evidence.REJECTED),
        ({"error": "InternalServerError"}, Evidence.FAILED),
        ({"error": "Retried"}, Evidence.UNKNOWN),
        ({"closed_by": "lease", "output_tokens": None}, Evidence.CENSORED),
        ({"closed_by": "bound", "output_tokens": None}, Evidence.UNKNOWN),
        ({"closed_by": "lease", "output_tokens": None, "timed": False}, Evidence.UNTIMED),
        ({"error": "CancelledError", "ttft_s": None, "timed": False}, Evidence.UNKNOWN),
    ],
)
def test_every_outcome_has_its_class(facts, evidence):
    assert evidence_of(OUTCOME._replace(**facts)) is evidence


@pytest.mark.parametrize(
    ("facts", "failure"),
    [
        ({"error": "ConnectError", "ttft_s": None}, Failure.REFUSED),
        ({"error": "Timeout", "ttft_s": None}, Failure.TIMED_OUT),
        ({"closed_by": "lease", "ttft_s": None, "output_tokens": None}, Failure.TIMED_OUT),
        ({"error": "InternalServerError", "ttft_s": None}, Failure.ERROR),
        ({"error": "APIConnectionError"}, Failure.CUT),
        ({"error": "Timeout"}, Failure.CUT),
    ],
)
def test_every_failure_has_its_kind(facts, failure):
    assert failure_of(OUTCOME._replace(**facts)) is failure


def test_only_a_whole_answer_teaches_a_length():
    taught = [
        taught_by(OUTCOME._replace(**facts)).length
        for facts in (
            {},
            {"cut": True},
            {"estimated": True},
            {"choices": 2},
            {"timed": False},
            {"error": "Timeout"},
        )
    ]
    assert taught == [True, *[False] * 5]  # fmt: skip


def world(**traffic):
    made = World([Server("a", 1.0, 0.02, model="x/a")], Traffic(per_s=1.0, **traffic))
    made.run(180.0)
    # From here on the tests send and answer by themselves.
    for key in list(made.attempts._open):
        made.attempts.close_attempt(key, "test", made.now, error="Superseded")
    return made


def again(made, call, *, after_s, tokens, chunks=None, first_s=None, choices=1, **how):
    """One more answer of this kind; the forecast before and after it."""
    placed = made.balancer.decide([made_request(made)], made_source(), made.now)[0]
    made.attempts.open(call, placed, 50, made.now, first_s is not None, None, choices)
    before = made.forecast_s("a", 100)
    start = made.now
    if first_s is not None:
        made.now = start + first_s
        progress = Written(made, made.now, start + after_s, chunks or tokens)
        made.attempts.first_token(call, made.now, progress)
    made.now = start + after_s
    made.attempts.close(call, "end", made.now, cut=how.pop("cut", False))
    made.attempts.complete(call, "a", tokens, None, how.pop("cached", False), Usage(**how))
    return before, made.forecast_s("a", 100)


def made_request(made):
    from rb_litellm.balancer import RoutingRequest
    from rb_litellm.core.types import Prompt

    return RoutingRequest(Prompt("Why?", 50), made.deployments, exploration=None)


def made_source():
    from rb_litellm.predictors.registry import PredictionSource

    return PredictionSource()


@pytest.mark.parametrize("first_s", [0.004, None])
def test_an_answer_from_the_cache_teaches_nothing(first_s):
    """1.0 s forecast as 3.9 ms after 27 cached repeats."""
    made = world()
    for n in range(27):
        before, after = again(made, f"c{n}", after_s=0.005, tokens=100, first_s=first_s, cached=True)
        assert after == pytest.approx(before, rel=1e-3)


def test_a_quick_first_token_that_was_none_of_the_caches_is_learned_when_the_answer_is_over():
    made = world()
    for n in range(30):
        again(made, f"q{n}", after_s=0.05 + 99 * 0.02, tokens=100, first_s=0.05)
    assert made.forecast_s("a", 1) < 0.3


def test_eight_choices_in_one_teach_the_pace_of_one():
    """n = 8 taught a pace 8 times too quick: forecast 0.8 s, true 2.9."""
    made = world()
    before = made.forecast_s("a", 100)
    for n in range(40):
        again(made, f"n{n}", after_s=1.0 + 99 * 0.02, tokens=800, first_s=1.0, choices=8)
    assert made.forecast_s("a", 100) == pytest.approx(before, rel=0.15)


def test_a_stream_that_its_client_left_is_no_short_answer():
    made = world()
    at = made.balancer.beliefs.residuals.changes
    before = made.forecast_s("a", 100)
    for n in range(30):
        # The server wrote on, so that the usage is that of the whole answer.
        again(made, f"l{n}", after_s=1.2, tokens=100, chunks=10, first_s=1.0, cut=True)
    assert made.forecast_s("a", 100) == pytest.approx(before, rel=0.05)
    assert made.balancer.beliefs.residuals.changes == at + 30  # of TTFT alone
    assert made.drifted == []


def test_an_answer_without_usage_teaches_the_pace_by_its_text_and_no_length():
    text = "four" * 300
    answer = {
        "usage": {"completion_tokens": 0, "prompt_tokens": 0},
        "choices": [{"message": {"content": text}}],
    }
    assert estimated_tokens(answer) == 300
    made = world()
    made.servers["a"].tpot_s = 0.04
    for n in range(60):
        again(made, f"u{n}", after_s=1.0 + 299 * 0.04, tokens=300, first_s=1.0, estimated=True)
    assert made.forecast_s("a", 100) == pytest.approx(1.0 + 99 * 0.04, rel=0.15)
    assert not any("output length" in line for line in made.drifted)


def test_what_was_thought_and_not_shown_is_timed_with_the_rest():
    made = world()
    for n in range(60):
        # 900 tokens of thought at 20 ms before the first chunk, then 100 that are streamed.
        again(made, f"r{n}", after_s=1.0 + 999 * 0.02, tokens=1000, chunks=100, first_s=19.0,
              reasoning_tokens=900)  # fmt: skip
    assert made.forecast_s("a", 1000) == pytest.approx(21.0, rel=0.5)


def test_thought_and_receipts_are_read_from_responses():
    usage = {"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 7}}
    assert reasoning_tokens({"usage": usage}) == 7
    assert reasoning_tokens({"usage": {}}) == reasoning_tokens({}) == 0
    assert is_receipt({"status": "queued"})
    assert not is_receipt({"status": "completed"})


async def test_calls_of_one_trace_are_answers_though_their_success_comes_late():
    """Every other success was booked as a retried failure."""
    made = world()
    task, finished = asyncio.current_task(), []
    attempts = Attempts(made.ledger, finished.append)
    now = 1000.0
    for n in range(6):
        placed = made.balancer.decide([made_request(made)], made_source(), now)[0]
        attempts.open("trace", placed, 50, now, False, task)
        if n:
            # The success of the call before comes when the next one is under way.
            attempts.close("trace", "success-event", now + 0.01, deployment="a", lasted_s=3.0)
            attempts.complete("trace", "a", 100, None, False)
        now += 3.0
    assert [outcome.error for outcome in finished] == [None] * 5
    assert len(made.ledger) == 1


async def test_a_retry_of_one_task_is_still_booked_as_one():
    made = world()
    task, finished = asyncio.current_task(), []
    attempts = Attempts(made.ledger, finished.append)
    for now in (1000.0, 1002.0):
        placed = made.balancer.decide([made_request(made)], made_source(), now)[0]
        attempts.open("call", placed, 50, now, False, task)
    attempts.close("call", "success-event", 1005.0, deployment="a", lasted_s=3.0)
    attempts.complete("call", "a", 100, None, False)
    assert [(o.attempt, o.error) for o in finished] == [(1, None), (0, "Retried")]


def test_after_a_success_a_call_avoids_nothing():
    made = world()
    for n, error in enumerate(("InternalServerError", None)):
        placed = made.balancer.decide([made_request(made)], made_source(), made.now + n)[0]
        made.attempts.open("again", placed, 50, made.now + n, False)
        made.attempts.close("again", "end", made.now + n + 0.5, error=error)
    assert made.ledger.failed("again") == {"a"}
    made.attempts.complete("again", "a", 100, None, False)
    assert made.ledger.failed("again") == frozenset()


async def test_a_large_answer_of_a_server_is_read_whole():
    """`/metrics` of 94 kB in 14.6 kB pieces: "none of ... is among its metrics"."""
    lines = [f'other_metric{{n="{n}"}} {n}' for n in range(5000)]
    body = "\n".join([*lines, "vllm:num_requests_running 3", "vllm:num_requests_waiting 2", ""])

    async def serve(request):
        answer = aiohttp.web.StreamResponse()
        await answer.prepare(request)
        for at in range(0, len(body), 14_600):
            await answer.write(body[at : at + 14_600].encode())
            await asyncio.sleep(0.005)
        return answer

    app = aiohttp.web.Application()
    app.router.add_get("/metrics", serve)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    try:
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        load = read_metrics(await _get(f"http://127.0.0.1:{port}/metrics"))
    finally:
        await runner.cleanup()
    assert (load.running, load.waiting) == (3.0, 2.0)


@pytest.mark.parametrize("timed", [True, False])
def test_a_session_that_stays_open_teaches_nothing(timed):
    made, told = world(), []
    attempts = Attempts(made.ledger, told.append, amended=told.append)
    placed = made.balancer.decide([made_request(made)], made_source(), made.now)[0]
    attempts.open("session", placed, 50, made.now, False, timed=timed)
    attempts.expire(made.now + 3600.0)
    assert [taught_by(outcome).lower_bound for outcome in told] == [timed]


async def test_a_clock_that_is_set_in_mid_stream_is_no_long_wait_for_the_first_token():
    """LiteLLM measures by the time of day: set 25 hours forward, it told of a first token after 25 hours."""
    made = world()
    finished = []
    attempts = Attempts(made.ledger, finished.append)
    for n, told_s in enumerate((0.4, 90_000.4)):
        placed = made.balancer.decide([made_request(made)], made_source(), 1000.0)[0]
        attempts.open(f"call {n}", placed, 50, 1000.0, True, asyncio.current_task())
        attempts.close(f"call {n}", "success-event", 1002.0, deployment="a", ttft_s=told_s)
        attempts.complete(f"call {n}", "a", 100, None, False)
    assert [outcome.ttft_s for outcome in finished] == [0.4, None]


async def test_nor_is_a_late_success_a_call_of_25_hours():
    made = world()
    task, finished = asyncio.current_task(), []
    attempts = Attempts(made.ledger, finished.append)
    for now in (1000.0, 1003.0):
        placed = made.balancer.decide([made_request(made)], made_source(), now)[0]
        attempts.open("trace", placed, 50, now, False, task)
    attempts.close("trace", "success-event", 1003.01, deployment="a", lasted_s=90_003.0)
    attempts.complete("trace", "a", 100, None, False)
    assert [outcome.open_s for outcome in finished] == [pytest.approx(3.01)]


def test_times_that_end_before_they_began_are_not_known():
    began = datetime(2026, 11, 30, 12)
    assert _seconds(began, began + timedelta(seconds=2)) == 2.0
    assert _seconds(began, began - timedelta(hours=25)) is None
