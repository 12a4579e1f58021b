"""What streams that are still being written say of a deployment, and when they are believed."""

import math

import pytest

from rb_litellm.core.servers.stream_progress import DecodeSpeed
from rb_litellm.core.servers.streams import Chunks, Stream

TPOT_S = 0.02


class Writer:
    """Streams of one deployment that all write at a given speed, looked at once a second."""

    def __init__(self, streams=3, tokens_per_chunk=1.0, decode_speed=None):
        self.now = 0.0
        self.tokens_per_chunk = tokens_per_chunk
        self.decode_speed = decode_speed or known(tokens_per_chunk)
        self.written = [0.0] * streams
        self.progress = [Chunks() for _ in range(streams)]
        self.streams = [Stream("d", progress, 0.0) for progress in self.progress]

    def write(self, *speeds):
        """For each speed a second at so many times the expected tokens per second; the factor after it."""
        for speed in speeds:
            self.now += 1.0
            for n, progress in enumerate(self.progress):
                self.written[n] += speed / (TPOT_S * self.tokens_per_chunk)
                progress.chunks = math.floor(self.written[n])
            self.decode_speed.observe(TPOT_S, self.streams, self.now)
        return self.decode_speed.factor


def known(tokens_per_chunk=1.0):
    decode_speed = DecodeSpeed()
    for _ in range(10):
        decode_speed.observe_answer(round(100 * tokens_per_chunk), 100)
    return decode_speed


def test_streams_about_as_fast_as_forecast_change_nothing():
    assert Writer().write(*[1.0, 0.7, 1.4, 0.8] * 25) == 1.0


@pytest.mark.parametrize("slower", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("tokens_per_chunk", [1.0, 4.0])
def test_three_seconds_at_another_speed_are_followed(slower, tokens_per_chunk):
    writer = Writer(tokens_per_chunk=tokens_per_chunk)
    writer.write(*[1.0] * 10)
    assert writer.write(1.0 / slower, 1.0 / slower) == 1.0
    assert writer.write(1.0 / slower) == pytest.approx(slower, rel=0.2)


def test_a_prefill_that_holds_all_streams_up_for_two_seconds_is_no_change_of_speed():
    assert Writer().write(*[1.0, 0.0, 0.1, 1.0, 0.2, 0.3, 1.0] * 10) == 1.0


def test_a_deployment_that_is_fast_again_is_followed_as_soon():
    writer = Writer()
    assert writer.write(*[1 / 3] * 6) == pytest.approx(3.0, rel=0.2)
    assert writer.write(*[1.0] * 8) < 1.2
    assert writer.write(*[1.0] * 4) == 1.0


def test_one_that_writes_much_faster_than_learned_is_followed_too():
    assert Writer().write(*[3.0] * 4) == pytest.approx(1 / 3, rel=0.2)


def test_streams_that_stand_still_are_slow_but_within_bounds():
    assert Writer().write(*[0.0] * 30) == pytest.approx(8.0)


def test_one_stream_alone_is_believed_by_half():
    assert 1.0 < Writer(streams=1).write(*[1 / 4] * 5) == pytest.approx(2.0, rel=0.2)


def test_one_reader_that_lags_behind_says_nothing_of_the_deployment():
    writer = Writer(streams=5)
    writer.streams.append(Stream("d", Chunks(), 0.0))
    assert writer.write(*[1.0] * 20) == 1.0


def test_few_chunks_are_waited_for():
    # One chunk every 0.8 s: a second holds one or two, which says nothing of their pace.
    assert Writer(tokens_per_chunk=40.0).write(*[1.0] * 60) == 1.0


def test_before_answers_have_said_what_a_chunk_holds_streams_say_nothing():
    assert Writer(decode_speed=DecodeSpeed()).write(*[0.1] * 10) == 1.0


def test_where_chunks_hold_now_few_tokens_and_now_many_streams_say_nothing():
    decode_speed = DecodeSpeed()
    for n in range(40):
        decode_speed.observe_answer(400, 100 if n % 2 else 40)
    assert decode_speed.tokens_per_chunk is None
    assert Writer(decode_speed=decode_speed).write(*[0.1] * 10) == 1.0


def test_short_answers_do_not_say_what_a_chunk_holds():
    decode_speed = DecodeSpeed()
    for _ in range(40):
        decode_speed.observe_answer(3, 5)
    assert decode_speed.tokens_per_chunk is None


def test_what_answers_teach_is_not_counted_twice():
    writer = Writer()
    before = writer.write(*[1 / 3] * 5)
    writer.decode_speed.compensate(math.log(1.5))
    assert writer.decode_speed.factor * 1.5 == pytest.approx(before)
    writer.decode_speed.compensate(math.log(4.0))
    assert writer.decode_speed.factor == 1.0


def test_without_streams_it_is_forgotten_within_minutes():
    writer = Writer()
    writer.write(*[1 / 3] * 5)
    for _ in range(180):
        writer.decode_speed.observe(TPOT_S, [], writer.now)
    assert writer.decode_speed.factor == 1.0
