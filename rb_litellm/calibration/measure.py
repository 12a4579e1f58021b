"""One server measured by a plan, step by step, within the plan's bounds and a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from rb_litellm.calibration.engine import CannotCalibrate, Engine, Refused
from rb_litellm.calibration.fit import Measured
from rb_litellm.calibration.plan import Plan
from rb_litellm.calibration.streams import Stream, most_at_once, pace_of

_TEXT = (
    "time year people way day man thing woman life child world school state family student group country "
    "problem hand part place case week company system program question work government number night point "
    "home water room mother area money story fact month lot right study book eye job word business issue"
)
_WORDS = tuple(_TEXT.split())
_SHORT_ANSWER = 8
"""An answer of fewer tokens, where more were asked for, has ended too early to tell a pace."""
_PROMPTS = 0.4
"""Share of the time after which no longer prompts are begun with."""
_WAITS_S = (1.0, 2.0, 4.0)
"""Before a lone request that a busy server refused is sent again, at least."""
_LONGEST_WAIT_S = 15.0
"""However long the server asks to wait."""
_T = TypeVar("_T")


@dataclass
class Calibrating:
    """The state of one calibration. `tell` hears what is measured next, and what was left out."""

    engine: Engine
    plan: Plan
    clock: Callable[[], float]
    seconds: float
    random: Random
    tell: Callable[[str], object]
    words_per_token: float = 0.8
    _until: float = field(init=False, default=0.0)

    async def run(self, model: str | None) -> Measured:
        """Measure the server.

        Raises:
            CannotCalibrate: it cannot be measured, or not in the time.
        """
        self._until = self.clock() + self.seconds
        try:
            return await self._run(model)
        except _TimeOver:
            raise CannotCalibrate(
                f"nothing could be measured in {self.seconds:g} s; the server may hang, or be very slow"
            ) from None

    async def _run(self, model: str | None) -> Measured:
        self.tell("asking what the server says of itself")
        served = await self._patiently(lambda: self.engine.choose(model))
        facts = await self._within(self.engine.facts())
        window = served.context_window or facts.context_window
        plan = self.plan = self.plan.within(window)
        first = await self._ask(self._prompt(plan.first), plan.answer)
        self.words_per_token *= plan.first / max(first.input_tokens, 1)
        if first.output_tokens < min(_SHORT_ANSWER, plan.answer) or len(first.pieces_s) < 2:
            raise CannotCalibrate(
                f"an answer ended after {first.output_tokens} tokens in {len(first.pieces_s)} pieces, where "
                f"{plan.answer} tokens were asked for as a stream; time per token cannot be measured so"
            )
        alone = [await self._lone(plan.short)]
        together: list[Sequence[Stream]] = []
        queue_seen = None
        repeated: Sequence[Stream] = ()
        try:
            longest = plan.lengths[0]
            for length in plan.lengths[1:]:
                expected_s = alone[-1][-1].ttft_s * length / longest * plan.repetitions
                if self._until - self.clock() - expected_s < (1.0 - _PROMPTS) * self.seconds:
                    self.tell(f"prompts of {length} tokens and more are left out: the server is slow")
                    break
                try:
                    alone.append(await self._lone(length))
                except Refused as refused:
                    self._left_out(refused, f"prompts of {length} tokens and more are")
                    break
                longest = length
            try:
                repeated = await self._repeated(min(plan.cached, longest))
            except Refused as refused:
                self._left_out(refused, "the prefix cache is")
            queue_seen = await self._batches(together)
        except _TimeOver:
            if not together:
                raise
            self.tell(f"time is over after {self.seconds:g} s: larger batches are left out")
        return Measured(alone, together, repeated, queue_seen, facts, window)

    async def _lone(self, length: int) -> Sequence[Stream]:
        self.tell(f"time to first token, prompts of {length} tokens")
        return [
            await self._ask(self._prompt(length), self.plan.first_tokens)
            for _ in range(self.plan.repetitions)
        ]

    async def _repeated(self, length: int) -> Sequence[Stream]:
        self.tell("prefix cache, the same prompt again")
        prompt = self._prompt(length)
        return [await self._ask(prompt, self.plan.first_tokens) for _ in range(self.plan.repetitions)]

    async def _batches(self, together: list[Sequence[Stream]]) -> int | None:
        """Add batches of rising size to `together`, until some have to wait for others; slots, if so."""
        suspected = 0
        for batch in self.plan.batches:
            try:
                running = await self._batch(batch, self.plan.answer, together)
            except Refused as refused:
                if not together:
                    raise
                self._left_out(refused, f"batches of {batch} and more are")
                return None
            if running < batch and running == suspected:
                return running
            suspected = running if running < batch else 0
        # Short answers may end before the last of a large batch begins; twice as long ones tell.
        largest = self.plan.batches[-1]
        try:
            if suspected and await self._batch(largest, 2 * self.plan.answer, together) == suspected:
                return suspected
        except Refused as refused:
            if not refused.busy:
                raise
            self.tell(f"{refused}; whether {suspected} run at once is left open")
        return None

    async def _batch(self, batch: int, tokens: int, together: list[Sequence[Stream]]) -> int:
        """Add one batch; how many of it were written at once."""
        self.tell(f"time per token, {batch} at once")
        if batch == 1:
            streams: Sequence[Stream] = [await self._ask(self._prompt(self.plan.short), tokens)]
        else:
            streams = await self._at_once(batch, tokens)
        if pace_of(streams) is None:
            raise CannotCalibrate(
                f"answers ended after {max(s.output_tokens for s in streams)} tokens, where {tokens} were "
                "asked for; time per token cannot be measured so"
            )
        together.append(streams)
        return most_at_once(streams)

    async def _at_once(self, batch: int, tokens: int) -> Sequence[Stream]:
        tasks = [
            asyncio.ensure_future(self.engine.ask(self._prompt(self.plan.short), tokens))
            for _ in range(batch)
        ]
        try:
            return await self._within(_all(tasks))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _left_out(self, refused: Refused, what: str) -> None:
        """What was measured holds: a server may refuse for now what it has no room for."""
        if not refused.busy:
            raise refused
        self.tell(f"{refused}; {what} left out")

    async def _ask(self, prompt: str, tokens: int) -> Stream:
        return await self._patiently(lambda: self.engine.ask(prompt, tokens))

    async def _patiently(self, ask: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What a lone request brings; it is sent again, a few times, while the server is busy."""
        for least_s in _WAITS_S:
            try:
                return await self._within(ask())
            except Refused as refused:  # noqa: PERF203  each try waits for the one before
                wait_s = min(max(least_s, refused.retry_after_s), _LONGEST_WAIT_S)
                if not refused.busy or self._until - self.clock() <= wait_s:
                    raise
                self.tell(f"{refused}; asked again in {wait_s:g} s")
                await asyncio.sleep(wait_s)
        return await self._within(ask())

    async def _within(self, work: Coroutine[Any, Any, _T]) -> _T:
        left = self._until - self.clock()
        if left <= 0.0:
            work.close()
            raise _TimeOver
        try:
            return await asyncio.wait_for(work, left)
        except asyncio.TimeoutError:
            raise _TimeOver from None

    def _prompt(self, tokens: int) -> str:
        """A prompt of about so many tokens, like no other from its first words on."""
        words = max(round(tokens * self.words_per_token), 4)
        return " ".join(self.random.choices(_WORDS, k=words))


class _TimeOver(Exception):
    """The time of the calibration is used up."""


async def _all(tasks: Sequence[Awaitable[Stream]]) -> list[Stream]:
    return list(await asyncio.gather(*tasks))
