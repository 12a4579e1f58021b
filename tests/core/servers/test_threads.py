"""A thread's next prompt counts as cached where its last call was sent, and nowhere longer than it lives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.prefix_memory import PrefixMemory
from rb_litellm.core.servers.threads import Threads, thread_rule
from rb_litellm.core.types import Prompt

RULE = thread_rule(300.0)
ROWS = np.array([4, 7])


def call(memory: PrefixMemory, tokens: int, row: int, now: float, thread: str = "t") -> None:
    prompt = Prompt(input_tokens=tokens)
    match = memory.match(prompt, RULE, ROWS, ROWS, ["g", "g"], now, thread)
    memory.sent(match, prompt, row, "g", now)
    memory.threads.sent(thread, row, tokens, now)


def cached(memory: PrefixMemory, tokens: int, now: float, thread: str = "t") -> list[float]:
    found = memory.match(Prompt(input_tokens=tokens), RULE, ROWS, ROWS, ["g", "g"], now, thread)
    tokens_there: list[float] = found.cached_tokens.tolist()
    return tokens_there


def test_all_of_the_last_prompt_is_cached_where_it_was_sent():
    memory = PrefixMemory()
    call(memory, 90_000, 7, 0.0)
    assert cached(memory, 90_800, 10.0) == [0.0, 90_000.0]


def test_after_a_failure_the_thread_is_pinned_to_the_one_that_stepped_in():
    memory = PrefixMemory()
    call(memory, 90_000, 7, 0.0)
    call(memory, 90_000, 4, 1.0)
    assert cached(memory, 90_800, 2.0) == [90_000.0, 0.0]


def test_nothing_is_known_of_a_prompt_that_was_cut():
    memory = PrefixMemory()
    call(memory, 90_000, 7, 0.0)
    assert cached(memory, 20_000, 1.0) == [0.0, 0.0]


def test_nothing_is_cached_of_another_thread_or_after_a_long_pause():
    memory = PrefixMemory()
    call(memory, 90_000, 7, 0.0)
    assert cached(memory, 90_800, 1.0, "other") == [0.0, 0.0]
    assert cached(memory, 90_800, 301.0) == [0.0, 0.0]


def test_a_thread_counts_in_full_wherever_the_load_is():
    memory = PrefixMemory()
    call(memory, 90_000, 7, 0.0)
    match = memory.match(Prompt(input_tokens=90_800), RULE, ROWS, np.array([0, 0]), ["g", "g"], 1.0, "t")
    left = match.tokens_to_prefill(90_800.0, np.full(2, 0.001), np.array([0.0, 50.0]), np.array([True, True]))
    assert left.tolist() == [90_800.0, 800.0]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3), st.floats(1.0, 1e6)), max_size=60))
def test_the_map_is_bounded_and_holds_what_came_last(calls: list[tuple[int, int, float]]):
    threads = Threads(most=4)
    for now, (name, row, tokens) in enumerate(calls):
        threads.sent(str(name), row, tokens, float(now))
        assert len(threads) <= 4
        pin = threads.pin(str(name), float(now), math.inf)
        assert pin is not None
        assert pin[:3] == (row, tokens, float(now))


def loop(
    threads: Threads, name: str, calls: int, *, tools: bool, every_s: float = 5.0, at: float = 0.0
) -> float:
    for n in range(calls):
        threads.sent(name, 0, 1_000.0, at + n * every_s, tools=tools, takes_s=1.0)
    return at + (calls - 1) * every_s


def test_a_loop_with_tools_is_expected_to_be_longer_than_a_conversation():
    loop_s, talk_s = (Threads().expected("t", 0.0, 300.0, tools=tools).further for tools in (True, False))
    assert loop_s > 2.0 * talk_s


def test_the_calls_of_a_loop_are_counted_and_a_silence_ends_it():
    threads = Threads()
    now = loop(threads, "t", 40, tools=False)
    going_on = threads.expected("t", now + 5.0, 300.0, tools=False)
    assert going_on.pin is not None
    assert going_on.pin.calls == 40.0
    assert threads.expected("t", now + 301.0, 300.0, tools=False).pin is None


def test_what_loops_before_did_is_expected_of_the_next():
    long, short = Threads(), Threads()
    at = 0.0
    for n in range(60):
        at = loop(long, f"l{n}", 30, tools=False, at=at) + 301.0
        long.pin("nobody", at, 300.0)
        loop(short, f"s{n}", 1, tools=False, at=n * 301.0)
        short.pin("nobody", n * 301.0 + 300.5, 300.0)
    expected = [its.expected("new", at, 300.0, tools=False).further for its in (long, short)]
    assert expected[0] > 5.0 * expected[1]


def test_a_pause_is_what_passes_between_an_answer_and_the_next_call():
    threads = Threads()
    loop(threads, "t", 300, tools=True, every_s=11.0)
    assert threads.expected("t", 0.0, 300.0, tools=True).pause_s == pytest.approx(10.0, rel=0.05)


def test_a_worker_that_sees_one_call_of_two_counts_twice_as_many():
    threads = Threads()
    for n in range(10):
        threads.sent("t", 0, 1_000.0, n * 10.0, workers=2)
    pin = threads.pin("t", 90.0, 300.0)
    assert pin is not None
    assert pin.calls == 20.0
