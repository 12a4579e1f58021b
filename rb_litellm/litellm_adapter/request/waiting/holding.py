"""Requests held in the worker until a server has room: who tries next, when, and when it is over.

The order is that of `core.limits.hold_queue`, one queue for each model name asked for, and another for
those that a limit of their own refused. Whoever waits for admission is not overtaken by those that come
later. Limits on TTFT and E2E run on while a request waits: who has waited longest needs most room. So those
are overtaken by whoever needs less, and a round begins where the last one ended.

A held request is a task of the proxy that waits for its turn; nothing else is kept of it, and it counts as
load nowhere. In its turn it is decided once more: placed, it leaves the queue and the next has its turn;
refused, it keeps its place and the round goes on with those that may fare better. A round begins when an
attempt has ended, and every TICK_S; it ends after MAX_TRIES refusals, so that what a round costs is
bounded.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.core.limits.hold_queue import Held, HoldQueue

T = TypeVar("T")
End = Literal["served", "late", "displaced", "full", "gone", "left", "failed"]

TICK_S = 0.1
"""Room may come with time alone, for what waits on servers is worked off."""
WAKE_WITHIN_S = 0.005
"""Attempts that end within this time begin one round."""
MAX_TRIES = 4
"""Refusals of a round."""
MAX_LOOKS = 16
"""Requests that a round passes by because their like has just been refused."""
MAX_NOTED = 4096
"""Ends that wait to be counted; further ones push out the oldest."""


class Place(NamedTuple):
    """What a request brings into its queue."""

    model: str
    """The name that was asked for."""
    limited: bool
    """A limit of its own refused it, and not admission."""
    owner: str
    priority: int
    tokens: float
    patience_s: float
    candidates: frozenset[str]
    """Where it may go."""
    most: int
    """Requests that this worker may hold."""


class HoldEnded(Exception):
    """A request is not held, or not any longer, and is to be refused."""

    def __init__(
        self, why: Literal["late", "displaced", "full", "gone"], retry_after_s: float, told: str
    ) -> None:
        """`told` says where it stood."""
        super().__init__(why)
        self.why = why
        self.retry_after_s = retry_after_s
        self.told = told
        self.error: Exception | None = None
        """What LiteLLM says in place of that, where its own filters left nothing."""


@dataclass(slots=True, eq=False)
class _Waiter:
    held: Held
    candidates: frozenset[str]
    turn: asyncio.Future[Literal["try", "late", "displaced"]]


@dataclass(slots=True)
class _Lane:
    """The queue of one model name, and its present round."""

    limited: bool
    queue: HoldQueue = field(default_factory=HoldQueue)
    waiters: dict[int, _Waiter] = field(default_factory=dict)
    trying: Held | None = None
    passed: frozenset[int] = frozenset()
    """By their numbers, those that this round has tried or passed by,"""
    busy: set[frozenset[str]] = field(default_factory=set)
    """the sets of candidates that have no room,"""
    tries: int = 0
    """and refusals so far."""
    again: bool = False
    """Something has ended since the round began."""


class Holding:
    """One per worker; it holds requests of one event loop. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], failed: Callable[[str, Exception], None]) -> None:
        """`failed` counts an internal error."""
        self._clock = clock
        self._failed = failed
        # Lanes that somebody waits in: no more than requests.
        self._lanes: OrderedDict[tuple[str, bool], _Lane] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = False
        self._ticking = False
        self._noted: deque[tuple[End, float]] = deque(maxlen=MAX_NOTED)

    def __len__(self) -> int:
        return sum(len(lane.queue) for lane in list(self._lanes.values()))

    def awaited(self, model: str) -> bool:
        """Whether requests for this model name wait for admission: whoever comes now comes after them."""
        return (model, False) in self._lanes

    def by_model(self) -> Counter[str]:
        """How many wait for each model name."""
        counts: Counter[str] = Counter()
        for (model, _), lane in list(self._lanes.items()):
            counts[model] += len(lane.queue)
        return counts

    def take(self) -> list[tuple[End, float]]:
        """How requests ceased to be held since the last call, and for how many seconds they were."""
        return [self._noted.popleft() for _ in range(len(self._noted))]

    def freed(self) -> None:
        """An attempt has ended. Cheap; from any thread; never raises."""
        loop = self._loop
        if not self._lanes or self._woken or loop is None or loop.is_closed():
            return
        self._woken = True
        try:
            loop.call_soon_threadsafe(loop.call_later, WAKE_WITHIN_S, self._wake)
        except RuntimeError:
            # The loop has just been closed, and nobody waits any more.
            self._woken = False

    async def wait(
        self,
        place: Place,
        attempt: Callable[[float], Awaitable[T | Refusal | None]],
        tell: Callable[[str], None],
    ) -> T:
        """Hold a request until `attempt(waited_s)` gives anything but a refusal.

        It gives None where nothing is left that the request may go to. `tell` is told where it stood and how
        long it waited. One `attempt` of a model name runs at a time.

        Raises:
            HoldEnded: it is to be refused.
        """
        name = (place.model, place.limited)
        lane = self._lane(name)
        queue, began = lane.queue, self._clock()
        room = place.most - len(self) + len(queue)
        held, displaced = queue.enter(
            place.owner, place.priority, place.tokens, began + place.patience_s, began, room
        )
        if displaced is not None:
            self._settle(lane, displaced, "displaced")
        if held is None:
            self._close(name, lane)
            self._noted.append(("full", 0.0))
            wait_s = queue.wait_s(len(queue) + 1)
            raise HoldEnded("full", wait_s or place.patience_s, f"{len(queue)} waiting, no place")
        position = queue.position(held)
        expected_s = queue.wait_s(position)
        stood = f"position {position} of {len(queue)}, expected " + (
            "unknown" if expected_s is None else f"{expected_s:.2f} s"
        )
        loop = asyncio.get_running_loop()
        waiter = _Waiter(held, place.candidates, loop.create_future())
        lane.waiters[held.number] = waiter
        end: End = "left"
        try:
            self._tick_on(loop)
            while True:
                said = await waiter.turn
                waited_s = self._clock() - began
                if said != "try":
                    end = said
                    told = f"{stood}, waited {waited_s:.2f} s"
                    raise HoldEnded(said, queue.wait_s(len(queue) + 1) or 1.0, told)
                waiter.turn = loop.create_future()
                tell(f"{stood}, waited {waited_s:.2f} s")
                end = "failed"
                placed = await attempt(waited_s)
                if placed is None:
                    end = "gone"
                    raise HoldEnded("gone", 1.0, f"{stood}, waited {self._clock() - began:.2f} s")
                end = "left"
                if not isinstance(placed, Refusal):
                    end = "served"
                    queue.serve(held, self._clock())
                    return placed
                lane.tries += 1
                lane.passed |= {held.number}
                if placed.reason == "load":
                    lane.busy.add(place.candidates)
                if placed.retry_after_s is None or held not in queue:
                    # Time does not help any more; or it had to leave while it was tried.
                    end = "displaced" if held not in queue and held.deadline_s > self._clock() else "late"
                    told = f"{stood}, waited {self._clock() - began:.2f} s"
                    raise HoldEnded(end, queue.wait_s(len(queue) + 1) or 1.0, told)
                lane.trying = None
                self._go_on(lane)
        except asyncio.CancelledError:
            end = "left"
            raise
        finally:
            queue.leave(held)
            lane.waiters.pop(held.number, None)
            self._noted.append((end, self._clock() - began))
            if lane.trying is held:
                lane.trying = None
                self._go_on(lane)
            self._close(name, lane)

    # Rounds

    def _lane(self, name: tuple[str, bool]) -> _Lane:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._lanes and self._loop is not None and not self._loop.is_closed():
                raise RuntimeError("another event loop of this process holds requests")
            # Nobody waits any more for what a closed loop left here.
            self._lanes.clear()
            self._loop, self._woken, self._ticking = loop, False, False
        return self._lanes.setdefault(name, _Lane(name[1]))

    def _close(self, name: tuple[str, bool], lane: _Lane) -> None:
        if not lane.queue and not lane.waiters and self._lanes.get(name) is lane:
            del self._lanes[name]

    def _tick_on(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._ticking:
            self._ticking = True
            loop.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        if self._lanes and self._loop is not None:
            self._tick_on(self._loop)
            self._wake()

    def _wake(self) -> None:
        self._woken = False
        try:
            # In turns, so that no model name is always the first to take what has become free.
            for name, lane in list(self._lanes.items()):
                self._lanes.move_to_end(name)
                for held in lane.queue.expired(self._clock()):
                    self._settle(lane, held, "late")
                if lane.trying is None:
                    self._begin(lane)
                else:
                    lane.again = True
        except Exception as error:  # noqa: BLE001  a timer has nobody to raise to
            self._failed("hold", error)

    def _begin(self, lane: _Lane) -> None:
        lane.tries, lane.again = 0, False
        lane.passed &= lane.waiters.keys()
        if not lane.limited or lane.queue.first(lane.passed) is None:
            lane.passed = frozenset()
        lane.busy.clear()
        self._go_on(lane)

    def _go_on(self, lane: _Lane) -> None:
        """Give the next request its turn, or end the round."""
        for _ in range(MAX_LOOKS):
            held = lane.queue.first(lane.passed) if lane.tries < MAX_TRIES else None
            if held is None:
                break
            waiter = lane.waiters.get(held.number)
            if waiter is not None and waiter.candidates not in lane.busy and not waiter.turn.done():
                lane.trying = held
                waiter.turn.set_result("try")
                return
            lane.passed |= {held.number}
        if lane.again:
            self.freed()

    def _settle(self, lane: _Lane, held: Held, said: Literal["late", "displaced"]) -> None:
        waiter = lane.waiters.get(held.number)
        if waiter is not None and not waiter.turn.done():
            waiter.turn.set_result(said)
