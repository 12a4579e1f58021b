"""What a server states of its times says what a request waited, and parts an answer in one piece."""

import pytest

from rb_litellm.core.latency.stated_times import MAX_SERVERS, StatedTimes, parted
from rb_litellm.core.types import Ahead, Outcome, Stated
from tests.core.latency.test_service_times import SERVER, service_times, stream

OVER = Outcome(
    "a", "success", None, 10, 0.0, 0.0, 1.2, ttft_s=0.25, output_tokens=11, stated=Stated(0.2, 0.9), at_s=1.2
)
"""A stream that met nobody: 50 ms beyond what the server states."""
WHOLE = OVER._replace(ttft_s=None, in_one_piece=True)
"""The same in one piece: 0.1 s beyond."""


def service_s(times: StatedTimes, outcome: Outcome = OVER) -> float:
    """Of a request like this that had to wait."""
    late = outcome._replace(ttft_s=9.0) if outcome.ttft_s else outcome._replace(open_s=9.0)
    parts = times.parts(SERVER, late)
    assert parts is not None
    assert parts.service_s + parts.wait_s == pytest.approx(9.0)
    return parts.service_s


def test_what_a_request_takes_beyond_what_is_stated_is_learned_from_those_that_met_nobody():
    times = StatedTimes()
    assert service_s(times) == pytest.approx(0.22)
    times.ended(SERVER, OVER)
    assert service_s(times) == pytest.approx(0.25)
    times.ended(SERVER, OVER._replace(in_flight=3.0, ttft_s=7.0))
    assert service_s(times) == pytest.approx(0.25)


def test_one_request_that_stalled_is_no_habit():
    times = StatedTimes()
    for ttft_s in (0.25, 9.0):
        times.ended(SERVER, OVER._replace(ttft_s=ttft_s))
    assert service_s(times) < 0.28


def test_of_an_answer_in_one_piece_both_parts_are_its_service():
    assert service_s(StatedTimes(), WHOLE) == pytest.approx(1.12)


def test_who_says_nothing_is_not_asked():
    assert StatedTimes().parts(SERVER, OVER._replace(stated=None)) is None
    assert parted(WHOLE._replace(stated=None)).in_one_piece


@pytest.mark.parametrize(
    ("ttft_s", "wait_s"), [(0.2, 0.0), (0.24, 0.0), (0.27, 0.0), (1.22, 1.0), (0.1, 0.0)]
)
def test_a_wait_is_what_stands_out_of_what_was_measured(ttft_s, wait_s):
    parts = StatedTimes().parts(SERVER, OVER._replace(ttft_s=ttft_s))
    assert parts == (pytest.approx(ttft_s - wait_s), pytest.approx(wait_s))


def test_a_server_tells_whose_last_whole_stream_did():
    times = StatedTimes()
    times.ended(SERVER, WHOLE)
    assert not times.tells(SERVER)
    times.ended(SERVER, OVER)
    assert times.tells(SERVER)
    times.ended(SERVER, OVER._replace(stated=None, cut=True))
    times.ended(SERVER, OVER._replace(stated=None, error="Timeout"))
    assert times.tells(SERVER)
    times.ended(SERVER, OVER._replace(stated=None))
    assert not times.tells(SERVER)


def test_an_answer_in_one_piece_is_parted_where_its_server_states_the_times():
    found = parted(WHOLE)
    assert (found.ttft_s, found.tpot_s, found.in_one_piece) == (
        pytest.approx(0.3),
        pytest.approx(0.09),
        False,
    )
    assert parted(WHOLE._replace(output_tokens=1)).tpot_s is None
    assert parted(OVER) is OVER


def test_no_more_servers_are_kept_than_stated():
    times = StatedTimes()
    for server in range(MAX_SERVERS + 10):
        times.ended(server, OVER)
    assert sum(times.tells(server) for server in range(MAX_SERVERS + 10)) == MAX_SERVERS
    times.forget(0)
    times.ended(MAX_SERVERS + 1, OVER)
    assert times.tells(MAX_SERVERS + 1)
    assert not times.tells(0)


# In the learning of service times


def queued(ttft_s: float, in_flight: float, ahead: Ahead, prompt_s: float = 0.02) -> Outcome:
    """A stream that is over, of a server that states its times."""
    return stream(ttft_s, in_flight, ahead)._replace(stated=Stated(prompt_s, 0.5), output_tokens=51)


def learned(of, row, outcome: Outcome) -> Outcome:
    (due,) = of.ended(row, SERVER, outcome)
    served = of.of_end(SERVER, due)
    assert served is not None
    return served


def test_the_first_token_of_a_stream_that_met_others_waits_for_what_the_server_will_state():
    of, row = service_times(slots=256.0)
    met_others = stream(1.0, 2.0, Ahead(2, ()))
    assert not of.waits_for_end(SERVER, met_others)
    learned(of, row, queued(0.03, 0.0, Ahead(0, ())))
    assert of.waits_for_end(SERVER, met_others)
    assert not of.waits_for_end(SERVER, met_others._replace(in_flight=0.0))
    of.forget_server(SERVER)
    assert not of.waits_for_end(SERVER, met_others)


def test_a_wait_that_is_stated_is_no_slowness_whatever_is_believed_of_slots():
    of, row = service_times(slots=256.0)
    served = learned(of, row, queued(2.04, 5.0, Ahead(2, (1.0, 2.0))))
    assert served.ttft_s == pytest.approx(0.04)
    assert served.in_flight <= 5.0


def test_a_wait_that_others_requests_made_is_stated_too():
    of, row = service_times(slots=256.0)
    served = learned(of, row, queued(2.04, 5.0, Ahead(0, (), others=5.0)))
    assert served.ttft_s == pytest.approx(0.04)


def test_slots_are_found_by_stated_times_though_little_is_known_of_the_server():
    """Two requests at once take three times what one does, which as well could be slowness."""
    of, row = service_times(slots=256.0, told=False)
    for third_s in (1.0, 1.1, 0.9):
        learned(of, row, queued(third_s + 0.06, 2.0, Ahead(2, (third_s, third_s + 0.4)), prompt_s=0.05))
    assert of._slots.of(SERVER) == 2.0


def test_what_a_request_takes_on_its_way_is_no_sign_of_few_slots():
    of, row = service_times(slots=256.0, told=False)
    for _ in range(20):
        learned(of, row, queued(0.03, 1.0, Ahead(1, (0.02,)), prompt_s=0.005))
    assert of._slots.of(SERVER) == 256.0
