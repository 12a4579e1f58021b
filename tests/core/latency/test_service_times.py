"""What an outcome says of its server's speed, and when."""

import pytest

from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.core.latency.learning.learner import LatencyLearner
from rb_litellm.core.latency.service_times import ServiceTimes
from rb_litellm.core.servers.keeping import Keeping
from rb_litellm.core.servers.slots import Slots
from rb_litellm.core.types import Ahead, Company, Outcome, SentBefore

SERVER = 0
TPOT_S = 0.01


def service_times(
    slots: float, prefill_s_per_token: float = 0.0, told: bool = True
) -> tuple[ServiceTimes, int]:
    """Of one deployment whose times are known, and the learner's row of it."""
    learner, of_servers, keeping = LatencyLearner(), Slots(), Keeping()
    prior = LatencyPrior(
        tpot_s=TPOT_S,
        ttft_s=0.01,
        prefill_s_per_token=prefill_s_per_token,
        tpot_s_per_running=0.0,
        slots=slots,
    )
    row = learner.add("tier", prior)
    keeping.add()
    of_servers.assume(SERVER, slots, told=told)
    return ServiceTimes(learner, of_servers, keeping), row


def whole(
    began_s: float, tokens: int, ahead: Ahead, met: int, together: int = 2, in_flight: float | None = None
) -> Outcome:
    """An answer in one piece, sent at 0 with others."""
    ended_s = began_s + tokens * TPOT_S
    return Outcome(
        "a", "success-event", None, 10, met if in_flight is None else in_flight, 0.0, ended_s,
        tpot_s=ended_s / tokens, output_tokens=tokens, in_one_piece=True, at_s=ended_s, ahead=ahead,
        company=Company(together, 0, met), beside=2.0,
    )  # fmt: skip


def taught_s(of: ServiceTimes, row: int, outcome: Outcome) -> list[float]:
    """The times that its end teaches, its own and those of others."""
    served = [of.of_end(SERVER, due) for due in of.ended(row, SERVER, outcome)]
    return [its.open_s for its in served if its is not None]


def test_whole_answers_teach_when_all_that_were_sent_with_them_have_ended_and_without_their_wait():
    """Two slots: a long one and a short one begin, and a third waits for the short one's end."""
    of, row = service_times(slots=2.0)
    short = whole(0.0, 100, Ahead(0, ()), met=1)
    third = whole(1.0, 100, Ahead(1, (1.0,)), met=2)
    long = whole(0.0, 1_000, Ahead(2, (1.0, 2.0)), met=0)
    assert taught_s(of, row, short) == taught_s(of, row, third) == []
    assert taught_s(of, row, long) == [1.0, 1.0, 10.0]


def test_where_other_workers_send_as_well_nobody_waits_to_be_told():
    of, row = service_times(slots=256.0)
    its = whole(0.0, 100, Ahead(1, (0.5,)), met=1, in_flight=8.0)
    assert taught_s(of, row, its) == [1.0]


def test_those_that_were_told_by_themselves_are_not_missing_for_the_others():
    of, row = service_times(slots=2.0)
    first = whole(0.0, 100, Ahead(0, ()), met=0, together=1)
    assert taught_s(of, row, first) == []
    second = whole(0.0, 120, Ahead(1, (1.0,)), met=1, together=1, in_flight=8.0)
    assert 1.0 in taught_s(of, row, second)


def stream(ttft_s: float, in_flight: float, ahead: Ahead) -> Outcome:
    """The first token of a stream, sent at 0, by whose sending so many were in flight."""
    return Outcome(
        "a", "first-token", None, 10, in_flight, 0.0, ttft_s, ttft_s=ttft_s, at_s=ttft_s, ahead=ahead
    )


def test_a_stream_that_others_overtook_on_their_way_teaches_what_it_took_without_its_wait():
    """Sent first and served last of three: two that were sent after it are no other worker's."""
    of, row = service_times(slots=1.0)
    served = of.of_first_token(row, SERVER, stream(2.01, 0.0, Ahead(2, (1.0, 2.0))))
    assert served is not None
    assert (round(served.ttft_s, 6), served.in_flight) == (0.01, 0.0)


def test_of_a_stream_that_overtook_others_the_wait_is_not_known():
    """Sent last of eight and served third: that it met seven may be others' doing as well."""
    of, row = service_times(slots=2.0)
    served = of.of_first_token(row, SERVER, stream(1.01, 7.0, Ahead(2, (1.0, 1.0))))
    assert served is None or served.in_flight >= 2.0  # The learner leaves out what had to queue.


def test_where_others_have_sent_a_part_a_queued_streams_wait_is_not_known():
    of, row = service_times(slots=2.0)
    queued = stream(1.01, 7.0, Ahead(2, (1.0, 1.0), others=5.0))
    served = of.of_first_token(row, SERVER, queued)
    assert served is None or served.in_flight >= 2.0  # The learner leaves out what had to queue.


def short_answer(took_s: float, cached_tokens: int | None = None) -> Outcome:
    """Three tokens in one piece for a prompt of 2,000: 1,900 were sent before, 1,425 expected cached."""
    return Outcome(
        "a", "success", None, 575, 0.0, 0.0, took_s, output_tokens=3, in_one_piece=True, at_s=took_s,
        ahead=Ahead(0, ()), sent_before=SentBefore(1_900.0, 5.0), saved_tokens=1_425.0,
        cached_tokens=cached_tokens,
    )  # fmt: skip


@pytest.mark.parametrize(("took_s", "prefilled"), [(0.06, 100), (1.03, 2_000)])
def test_an_answer_in_one_piece_teaches_with_the_prefill_that_its_time_speaks_for(took_s, prefilled):
    """It taught with what was expected: a cached prompt made prefill look three times as quick."""
    of, row = service_times(slots=256.0, prefill_s_per_token=0.0005)
    (due,) = of.ended(row, SERVER, short_answer(took_s))
    served = of.of_end(SERVER, due)
    assert served is not None
    assert served.input_tokens == prefilled


def test_what_the_server_tells_of_its_cache_goes_before_what_its_time_speaks_for():
    of, row = service_times(slots=256.0, prefill_s_per_token=0.0005)
    (due,) = of.ended(row, SERVER, short_answer(1.03, cached_tokens=1_888))
    served = of.of_end(SERVER, due)
    assert served is not None
    assert served.input_tokens == 112
