"""What deployments have probably cached is known by hashes of prefixes, bounded, and forgotten in time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.servers.affinity import AffinityRule
from rb_litellm.core.servers.prefix_memory import (
    BLOCK_CHARS,
    MAX_BLOCKS,
    MAX_HOLDERS,
    SMALL_BLOCKS,
    Conversations,
    PrefixIndex,
    PrefixMemory,
    block_names,
    chars_of,
)
from rb_litellm.core.types import Prompt

TURN = "Tell me of the sea. " * 40


def test_a_longer_prompt_begins_with_the_names_of_a_shorter_one():
    assert block_names(TURN + "And of the sky?")[: len(block_names(TURN))] == block_names(TURN)


def test_a_difference_at_the_start_changes_every_name():
    assert not set(block_names(TURN)) & set(block_names("x" + TURN))


def test_a_prompt_shorter_than_a_block_has_no_name():
    assert block_names("x" * (BLOCK_CHARS - 1)) == ()


def test_the_names_of_a_long_prompt_are_bounded():
    assert len(block_names("x" * 1_000_000)) == MAX_BLOCKS


def test_blocks_beyond_the_first_32_kilobytes_are_larger():
    assert len(block_names("x" * chars_of(SMALL_BLOCKS))) == SMALL_BLOCKS
    assert len(block_names("x" * (chars_of(SMALL_BLOCKS + 1) - 1))) == SMALL_BLOCKS
    assert len(block_names("x" * chars_of(SMALL_BLOCKS + 1))) == SMALL_BLOCKS + 1
    assert chars_of(MAX_BLOCKS) == 288 * 1024


def test_of_a_long_prompt_all_that_was_sent_counts():
    text = "".join(f"{n} " for n in range(20_000))[:65_536]
    memory, prompt = PrefixMemory(), Prompt(text=text, input_tokens=16_384)
    rows = np.array([0, 1])
    memory.sent(memory.match(prompt, AffinityRule(), rows, rows, ["g", "g"], 0.0), prompt, 1, "g", 0.0)
    found = memory.match(prompt, AffinityRule(), rows, rows, ["g", "g"], 1.0)
    assert found.cached_tokens.tolist() == [0.0, 16_384.0]


def test_lone_surrogates_are_named_too():
    assert block_names("\ud800" * BLOCK_CHARS)


def test_a_deployment_has_seen_as_much_as_was_sent_there():
    index = PrefixIndex()
    names = block_names(TURN * 3)
    index.sent(names[:2], row=7, now=0.0)
    index.sent(names, row=3, now=0.0)
    assert index.seen(names, 4.0, 60.0) == {7: (2, 4.0), 3: (len(names), 4.0)}


def test_what_was_not_used_for_long_counts_as_evicted():
    index = PrefixIndex()
    index.sent(block_names(TURN), row=1, now=0.0)
    assert index.seen(block_names(TURN), 61.0, 60.0) == {}


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), max_size=200))
def test_names_and_holders_stay_bounded(sent):
    index = PrefixIndex(max_names=20)
    for now, (row, which) in enumerate(sent):
        index.sent(block_names(f"{which} " + TURN), row, float(now))
        assert len(index) <= 20
    for which in range(51):
        assert len(index.seen(block_names(f"{which} " + TURN), 200.0, 1e9)) <= MAX_HOLDERS


RULE = AffinityRule(ttl_s=60.0)
ROWS, TIERS, GROUPS = np.array([5, 6, 9]), np.array([0, 0, 1]), ("small", "small", "large")


def match(memory, prompt, now=0.0):
    return memory.match(prompt, RULE, ROWS, TIERS, GROUPS, now)


def turn(text, **facts):
    return Prompt(text, input_tokens=len(text) // 4, **facts)


def test_nothing_is_cached_at_first():
    found = match(PrefixMemory(), turn(TURN))
    assert not found.cached_tokens.any()
    assert found.model_switch is None


def test_the_next_turn_finds_the_last_one_where_it_was_sent():
    memory = PrefixMemory()
    first = turn(TURN)
    memory.sent(match(memory, first), first, 6, "small", 0.0)
    found = match(memory, turn(TURN + " An answer. " * 30 + "And then?", turns=2))
    assert found.cached_tokens.round().tolist() == [0.0, 192.0, 0.0]


def test_going_on_with_another_model_is_a_switch():
    memory = PrefixMemory()
    first = turn(TURN)
    memory.sent(match(memory, first), first, 6, "small", 0.0)
    assert match(memory, turn(TURN + "And then?", turns=2)).model_switch.tolist() == [0.0, 0.0, 1.0]
    assert match(memory, turn(TURN + "Alike, but new.")).model_switch is None


def test_a_named_session_is_a_conversation_however_short():
    memory = PrefixMemory()
    first = turn("Hi", session="s")
    memory.sent(match(memory, first), first, 9, "large", 0.0)
    assert match(memory, turn("And?", session="s")).model_switch.tolist() == [1.0, 1.0, 0.0]
    assert match(memory, turn("And?", session="another")).model_switch is None


def test_sessions_are_bounded():
    conversations = Conversations(max_sessions=2)
    for name in "abc":
        conversations.served(name, "m")
    assert [conversations.model(name) for name in "abc"] == [None, "m", "m"]
