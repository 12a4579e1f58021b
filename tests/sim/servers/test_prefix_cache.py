"""The prefix cache: what begins alike is not computed twice, and memory goes to running requests first."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.sim.servers.instance import Hardware, Instance, Job
from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS, PrefixCache

HARDWARE = Hardware(((1, 0.01), (2048, 0.5)), 0.0, kv_tokens=4096)


def ttft_s(instance: Instance, prefix: tuple[int, ...], leaves: tuple[int, ...] = ()) -> float:
    instance.add(Job(10 * BLOCK_TOKENS, 5, None, prefix, leaves))
    first = instance.begin()
    while instance.finish() is not None and instance.begin() is not None:
        pass
    assert first is not None
    return first


def test_second_request_with_the_same_prefix_has_less_to_prefill() -> None:
    instance = Instance(HARDWARE)
    blocks = tuple(range(9))
    assert ttft_s(instance, blocks) > 5 * ttft_s(instance, blocks)


def test_other_text_shares_nothing() -> None:
    instance = Instance(HARDWARE)
    assert ttft_s(instance, tuple(range(9))) == ttft_s(instance, tuple(range(100, 109)))


def test_next_turn_finds_the_answer_of_the_turn_before() -> None:
    instance = Instance(HARDWARE)
    ttft_s(instance, (1, 2), (1, 2, 3, 4, 5, 6, 7, 8))
    assert instance.prefix_cache.held((1, 2, 3, 4, 5, 6, 7, 8, 9)) == 8


def test_whole_prompt_in_the_cache_still_computes_one_token() -> None:
    instance = Instance(HARDWARE)
    every = tuple(range(10))
    ttft_s(instance, every)
    assert ttft_s(instance, every) == HARDWARE.iteration_s(1)


def test_least_recently_used_chain_goes_first_from_its_end() -> None:
    cache = PrefixCache()
    cache.keep((1, 2, 3))
    cache.keep((7, 8))
    cache.shrink(4 * BLOCK_TOKENS)
    assert cache.held((1, 2, 3)) == 2
    assert cache.held((7, 8)) == 2


@given(st.lists(st.lists(st.integers(0, 30), unique=True, max_size=8), max_size=20), st.integers(0, 10))
@settings(max_examples=50, deadline=None)
def test_never_holds_more_than_there_is_room_for(chains: list[list[int]], room: int) -> None:
    cache = PrefixCache()
    for chain in chains:
        cache.keep(chain)
        cache.shrink(room * BLOCK_TOKENS)
        assert len(cache) <= room
        assert cache.held(chain) <= room
