"""Which compiled loops a process uses: none until they are loaded, none again once one has failed.

Whoever has a loop to run says how the same is done by NumPy, too. Loops hold Python's global lock while they
run, on purpose: they take microseconds, and a busy thread that was given the lock keeps it for the next five
milliseconds, in which no stream of the event loop would move (see `reading.piece_counts`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Loop = Callable[..., Any]
"""It writes into the arrays that it is given."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Loops:
    """The loops of this folder and those of the predictors, compiled."""

    read_texts: Loop
    count_pieces: Loop
    evaluate_trees: Loop
    describe: Loop
    tell: Loop
    load_parts: Loop
    forecast_times: Loop
    worth_of: Loop
    best_of: Loop
    place_several: Loop
    sample_figures: Loop
    pair_figures: Loop
    weigh_slots: Loop


class InUse:
    """The loops of a process."""

    def __init__(self) -> None:
        self.loops: Loops | None = None
        self._failed: Callable[[Exception], None] | None = None

    def use(self, loops: Loops, failed: Callable[[Exception], None]) -> None:
        """Use these from the next call on; `failed` is told what ends that. From any thread."""
        self._failed = failed
        self.loops = loops

    def either(self, compiled: Callable[[Loops], Result], plain: Callable[[], Result]) -> Result:
        """What `compiled` gives if there are loops, else what `plain` gives.

        Loops that raise are not used again.
        """
        loops = self.loops
        if loops is None:
            return plain()
        try:
            return compiled(loops)
        except Exception as error:  # noqa: BLE001  NumPy does the same
            self.loops = None
            if self._failed is not None:
                self._failed(error)
            return plain()


IN_USE = InUse()
