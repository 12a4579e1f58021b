"""What is spread: a pure function of something that all cells share and of one cell.

The outcome of a cell depends on those two alone, never on where or after what else it is carried out, so that
it is the same bit for bit however the work is spread.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

Shared = TypeVar("Shared")
Cell = TypeVar("Cell")
Result = TypeVar("Result")
_Cells = TypeVar("_Cells", contravariant=True)
_Results = TypeVar("_Results")


@dataclass(frozen=True)
class Failed:
    """A cell without a result."""

    cell: str
    """Its name."""
    reason: str

    def __str__(self) -> str:
        return f"{self.cell}: {self.reason}"


@dataclass(frozen=True)
class Work(Generic[Shared, Cell, Result]):
    """What is to be done with every cell. Its functions are those of modules: all of it can be pickled."""

    function: Callable[[Shared, Cell], Result]
    shared: Shared
    """Sent once to every process."""
    name: Callable[[Cell], str] = str
    """How messages call a cell."""

    def attempt(self, cell: Cell) -> Result | Failed:
        """The outcome of one cell."""
        try:
            return self.function(self.shared, cell)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other cells are to go on
            return Failed(self.name(cell), reason(error))


class SpreadError(ValueError):
    """The work cannot be carried out as asked; says why and what to do."""


class Team(Protocol[_Cells, _Results]):
    """Whoever carries out one work, for any number of calls."""

    def map(
        self, cells: Sequence[_Cells], on_done: Callable[[_Results | Failed], None] = lambda _: None
    ) -> list[_Results | Failed]:
        """The outcomes in the order of `cells`. One that fails does not keep others from theirs.

        `on_done` is called with each outcome when it comes, in any order.

        Raises:
            SpreadError: the team itself does not work.
        """


def whole(outcomes: Sequence[Result | Failed]) -> list[Result]:
    """The results, where one that is missing makes the others worthless.

    Raises:
        SpreadError: a cell failed; names the first.
    """
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            raise SpreadError(str(outcome))
    return [outcome for outcome in outcomes if not isinstance(outcome, Failed)]


def reason(error: BaseException) -> str:
    """What went wrong: a complaint about the input as it is, any other error with its type and place."""
    if isinstance(error, (ValueError, OSError)) and str(error):
        return str(error)
    told = "".join(traceback.format_exception_only(type(error), error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    return f"{told} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else told
