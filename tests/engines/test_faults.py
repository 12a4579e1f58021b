"""Real engines fail behind a real proxy: no more clients see it than with LiteLLM alone, and nothing stays
counted. The same requests go through `routebalance` and through `simple-shuffle`, one after the other.

A stream that has begun when its engine breaks down is cut with any strategy, for its client has a part of the
answer. How many have begun at that moment, of the four that are open, is chance. They are counted by
themselves, and no router can have fewer but by luck.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from rb_litellm.bench.real.redis_server import RedisServer
from tests.engines.engine import Engine, running_llama_server
from tests.engines.fleet import AT_ONCE, CUT, OK, Fleet, ask, running_fleet, send

REQUESTS = 32
FAULT_AT, MENDED_AT = 8, 24
"""Numbers of the requests before which the fault begins and ends."""
Fault = Callable[[Engine], object]


@pytest.fixture(scope="session")
def companion(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A llama-server that stays well."""
    with running_llama_server(home, tmp_path_factory.mktemp("companion")) as running:
        yield running


@pytest.fixture(scope="session")
def fleets(
    engine: Engine, companion: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Fleet, Fleet]]:
    """Ours and LiteLLM's own, before the same engines."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        both = [
            stack.enter_context(
                running_fleet(tmp_path_factory.mktemp(strategy), strategy, redis, (engine, companion))
            )
            for strategy in ("routebalance", "simple-shuffle")
        ]
        yield both[0], both[1]


def nothing(_: Engine) -> None:
    """No fault: what differs then is noise."""


def killed(engine: Engine) -> None:
    engine.signal(signal.SIGKILL)


def stopped(engine: Engine) -> None:
    engine.signal(signal.SIGSTOP)


def stopped_inside(engine: Engine) -> None:
    """Of vLLM the process that computes, while the one that answers goes on; llama-server is one process."""
    engine.signal(signal.SIGSTOP, part="EngineCore" if engine.name == "vLLM" else "")


def going_on(engine: Engine) -> None:
    engine.signal(signal.SIGCONT)


def started(engine: Engine) -> None:
    """It answers 503 while it loads."""
    engine.start(ready=False)


async def errors(fleet: Fleet, fault: Fault, mended: Fault) -> Counter[str]:
    """How those of the requests ended that were not answered."""
    faulty = fleet.engines[0]
    steps = {FAULT_AT: lambda: fault(faulty), MENDED_AT: lambda: mended(faulty)}
    ended = await send(fleet, REQUESTS, steps)
    faulty.ready()
    del ended[OK]
    return ended


@pytest.mark.parametrize(
    ("fault", "mended"),
    [(nothing, nothing), (stopped, going_on), (stopped_inside, going_on), (killed, started)],
    ids=["none", "SIGSTOP", "SIGSTOP-of-what-computes", "SIGKILL-and-restart"],
)
async def test_as_few_clients_see_a_fault_as_with_litellm_alone(
    fleets: tuple[Fleet, Fleet], fault: Fault, mended: Fault
) -> None:
    ours, theirs = fleets
    seen = {fleet.strategy: await errors(fleet, fault, mended) for fleet in (theirs, ours)}
    print(f"{ours.engines[0].name}, not answered of {REQUESTS}: {seen}")
    unsaved = {
        name: sum(n for how, n in its.items() if not how.startswith(CUT)) for name, its in seen.items()
    }
    assert unsaved[ours.strategy] <= unsaved[theirs.strategy]
    # Those that were open at the fault's beginning, and at its end.
    assert sum(seen[ours.strategy].values()) - unsaved[ours.strategy] <= 2 * AT_ONCE
    assert ours.comes_to_rest()


async def test_prompts_that_are_too_long_are_refused_as_by_litellm_alone(
    fleets: tuple[Fleet, Fleet],
) -> None:
    ours, theirs = fleets
    assert await send(ours, 8, words=6_000) == await send(theirs, 8, words=6_000) == {"400": 8}
    assert ours.comes_to_rest()


async def test_a_client_that_leaves_stays_nowhere_counted(fleets: tuple[Fleet, Fleet]) -> None:
    ours, _ = fleets
    async with ours.proxy.async_client() as client:
        for number in range(8):
            assert await ask(client, number, stream=True, leaves_after=number % 3) == "left"
    assert ours.comes_to_rest()
