"""A thread's next prompt counts as cached where its last call was sent, and nowhere longer than it lives."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.prefix_memory import PrefixMemory
from rb_litellm.core.servers.threads import Pin, Threads, thread_rule
from rb_litellm.core.types import Prompt

RULE = thread_rule(300.0)
ROWS = np.array([4, 7])


def call(memory: PrefixMemory, tokens: int, row: int, now: float, thread: str = "t") -> None:
    prompt = Prompt(input_tokens=tokens)
    match = memory.match(prompt, RULE, ROWS, ROWS, ["g", "g"], now, thread)
    memory.sent(match, prompt, row, "g", now, thread)


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
        assert threads.pin(str(name), float(now), math.inf) == Pin(row, tokens, float(now))
