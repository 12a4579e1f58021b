"""Where commands print tables: no name is cut; in a pipe no line ends in blanks, and a row is one line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from rich.console import Console, Group
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

PIPE_WIDTH = 80
"""Columns of a pipe, which what is wider than that widens."""
_ENDS = re.compile(r"[ \t]+(?=\n)")


class _Trimmed:
    """A stream whose lines lose the blanks at their ends."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(_ENDS.sub("", text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Screen(Console):
    """Standard output. Names fold where a terminal is too narrow for them."""

    def __init__(self) -> None:
        # rich takes any object that can write and flush.
        file: Any = sys.stdout if sys.stdout.isatty() else _Trimmed(sys.stdout)
        super().__init__(file=file)

    def print(self, *objects: Any, **options: Any) -> None:
        """See `Console.print`."""
        for table in _tables(objects):
            for column in table.columns:
                column.overflow = "fold"
        if not self.is_terminal:
            wide = self.options.update(max_width=100_000)
            widths = [Measurement.get(self, wide, part).maximum for part in objects if _is_drawn(part)]
            self.width = max(PIPE_WIDTH, *widths) if widths else max(self.width, PIPE_WIDTH)
            if not widths:
                options.setdefault("soft_wrap", True)
        super().print(*objects, **options)


def progress_bar(quiet: bool) -> Progress:
    """What is being done, how much of it, and for how long, on standard error; nothing where `quiet`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True, quiet=quiet), transient=True)


def counted(number: int, name: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _is_drawn(part: object) -> bool:
    return isinstance(part, (Table, Group))


def _tables(parts: Any) -> Iterator[Table]:
    for part in parts:
        if isinstance(part, Table):
            yield part
        elif isinstance(part, Group):
            yield from _tables(part.renderables)
