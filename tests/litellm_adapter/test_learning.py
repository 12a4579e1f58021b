"""What is learned between requests: soon, in order, all of it, and never without bound."""

import asyncio

from rb_litellm.core.types import Outcome
from rb_litellm.litellm_adapter import learning
from rb_litellm.litellm_adapter.learning import Learning


def outcome(number: int) -> Outcome:
    return Outcome("d", "success", None, number, 0.0, 0.0, 1.0)


class Pupil:
    def __init__(self) -> None:
        self.heard: list[int] = []
        self.learning = Learning(lambda action: action())

    def add(self, number: int) -> None:
        self.learning.add(lambda o: self.heard.append(o.input_tokens), outcome(number))


def test_a_thread_without_an_event_loop_learns_at_once():
    pupil = Pupil()
    pupil.add(1)
    assert pupil.heard == [1]


async def test_an_event_loop_learns_soon_and_in_order():
    pupil = Pupil()
    for number in range(5):
        pupil.add(number)
    assert pupil.heard == []
    learned = asyncio.Event()
    pupil.learning.add(lambda _: learned.set(), outcome(5))
    await asyncio.wait_for(learned.wait(), 10.0)
    assert pupil.heard == [0, 1, 2, 3, 4]


async def test_the_queue_is_bounded():
    pupil = Pupil()
    for number in range(learning.MAX_WAITING + 1):
        pupil.add(number)
    assert len(pupil.heard) == learning.MAX_WAITING + 1


def test_what_a_closed_loop_left_is_learned_with_the_next_outcome():
    pupil = Pupil()

    async def leave() -> None:
        pupil.add(1)

    asyncio.run(leave())
    assert pupil.heard == []
    pupil.add(2)
    assert pupil.heard == [1, 2]
