"""Forecasts of real engines: slots are found, a queue is forecast, and it leaves no after-effect.

With `-s` the figures are printed, beside how far the engine's own times lie apart: the same requests straight
to it. On a busy machine both are large.
"""

from __future__ import annotations

import asyncio

import litellm
import pytest

from tests.engines.engine import MODEL, SLOTS, WINDOW, Engine
from tests.engines.traffic import Routed, e2e_error, spread_of_straight, ttft_error

IN_ORDER_S = 0.05
"""Requests so long after each other come to an engine in the order in which they were sent."""

both_ways = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


@both_ways
async def test_slots_are_found_within_ten_requests(engine: Engine, stream: bool) -> None:
    routed = Routed(engine)
    await routed.in_turn(2, stream=stream)
    await routed.together(8, stream=stream)
    print(f"{engine.name}, {stream=}, slots {routed.slots():g}")
    assert routed.slots() == SLOTS


@both_ways
async def test_a_queue_leaves_no_after_effect(engine: Engine, stream: bool) -> None:
    routed = Routed(engine)
    await routed.in_turn(10, stream=stream)
    await routed.together(8, stream=stream)
    error = e2e_error(await routed.in_turn(5, stream=stream))
    print(f"{engine.name}, {stream=}, after a queue, E2E {error:.3f}")
    assert error < 0.3


@both_ways
async def test_forecasts_of_an_idle_server_hold_after_thirty_requests(engine: Engine, stream: bool) -> None:
    routed = Routed(engine)
    await routed.in_turn(30, stream=stream)
    later = await routed.in_turn(10, stream=stream)
    ttft_spread, spread = await spread_of_straight(engine.url, MODEL, stream)
    print(f"{engine.name}, {stream=}, idle, E2E {e2e_error(later):.3f}, straight {spread:.3f}")
    if stream:
        print(f"{engine.name}, idle, TTFT {ttft_error(later):.3f}, straight {ttft_spread:.3f}")
        assert ttft_error(later) < 0.15
    assert e2e_error(later) < 0.10


@pytest.mark.parametrize("apart_s", [0.0, IN_ORDER_S], ids=["at-once", "in-order"])
@both_ways
async def test_forecasts_of_a_full_server_hold_after_thirty_requests(
    engine: Engine, stream: bool, apart_s: float
) -> None:
    routed = Routed(engine)
    rounds = [await routed.together(3 * SLOTS, apart_s, stream=stream) for _ in range(8)]
    later = [outcome for its in rounds[5:] for outcome in its]
    after = e2e_error(await routed.in_turn(5, stream=stream))
    told = f"{engine.name}, {stream=}, full, {apart_s} s apart"
    print(f"{told}: E2E {e2e_error(later):.3f}, the first five afterwards {after:.3f}")
    if stream:
        print(f"{told}: TTFT {ttft_error(later):.3f}")
        assert ttft_error(later) < 0.25
    assert after < 0.3
    assert e2e_error(later) < 0.15


async def test_two_deployments_on_one_engine_see_each_other(engine: Engine) -> None:
    routed = Routed(engine, deployments=2)
    await routed.together(8)
    others = asyncio.gather(*(routed.ask() for _ in range(8)))
    await asyncio.sleep(0.3)
    await routed.ask(group=1)
    await others
    await asyncio.sleep(0.5)
    (one,) = (outcome for outcome in routed.runtime.outcomes if outcome.deployment == routed.ids[1])
    print(f"{engine.name}, two deployments: {one.in_flight:g} in flight, E2E {e2e_error([one]):.3f}")
    assert one.in_flight >= 6
    assert e2e_error([one]) < 0.3


async def test_what_the_server_tells_is_read(engine: Engine) -> None:
    routed = Routed(engine, scrape=True)
    await routed.in_turn(1)
    for _ in range(100):
        if any(server.load for server in routed.runtime.scraping.status()):
            break
        await asyncio.sleep(0.1)
    (server,) = routed.runtime.scraping.status()
    assert server.load is not None
    assert server.load.engine == engine.name
    assert server.window == WINDOW
    # vLLM does not say how many requests it runs at once.
    assert server.slots == (SLOTS if engine.name == "llama.cpp" else None)


async def test_a_prompt_that_is_too_long_is_refused_and_leaves_nothing_open(engine: Engine) -> None:
    routed = Routed(engine)
    for stream in (True, False):
        with pytest.raises(litellm.BadRequestError, match="context"):
            await routed.ask(words=8_000, stream=stream)
    assert routed.runtime.ledger.sums(routed.runtime.clock()).in_flight.sum() == 0.0
