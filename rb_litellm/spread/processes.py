"""Cells spread over processes of this machine, one cell at a time in each.

Processes are started anew (spawned), because the threads of XGBoost do not survive a fork. Each has a pipe
of its own, so that it is known which cell is lost when the system ends a process, for want of memory say;
another takes its place. A process ends with whoever started it, in whatever way that ends.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import connection, get_context, parent_process
from typing import Any, Generic

from rb_litellm.spread.work import Cell, Failed, Result, Shared, SpreadError, Work, reason

_SPAWN = get_context("spawn")
_END_S = 5.0
"""After so long a process that was told to end is killed."""


class Processes(Generic[Shared, Cell, Result]):
    """A team of up to `jobs` processes. They start when there is work for them, and stay until the end."""

    def __init__(self, work: Work[Shared, Cell, Result], jobs: int) -> None:
        self._work = work
        self.sent = pickle.dumps(work)
        """What every process is sent."""
        self.jobs = jobs
        self._members: list[_Member] = []

    def __enter__(self) -> Processes[Shared, Cell, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.terminate()
        while self._members:
            self._members.pop().join()

    def map(
        self, cells: Sequence[Cell], on_done: Callable[[Result | Failed], None] = lambda _: None
    ) -> list[Result | Failed]:
        """See `Team.map`."""
        outcomes: dict[int, Result | Failed] = {}
        waiting = deque(range(len(cells)))
        self._grow(min(self.jobs, len(cells)))
        while len(outcomes) < len(cells):
            for member in self._members:
                if waiting and member.idle:
                    member.give(waiting[0], cells[waiting.popleft()])
            for member in self._heard():
                number = member.number
                try:
                    told = member.hear()
                except EOFError:
                    lost = member.join()
                    self._members.remove(member)
                    if number is None:
                        raise SpreadError(f"a process of the {self.jobs} {lost} before it began") from None
                    told = Failed(self._work.name(cells[number]), f"its process {lost}")
                    self._grow(min(self.jobs, len(waiting) + len(self._members)))
                if number is None:
                    continue
                outcomes[number] = told
                on_done(told)
        return [outcomes[number] for number in range(len(cells))]

    def _grow(self, size: int) -> None:
        """Start processes until there are so many; all of them come up at once."""
        new = [_Member() for _ in range(size - len(self._members))]
        if new:
            self._members += new
            for member in new:
                member.prepare(self.sent)

    def _heard(self) -> list[_Member]:
        """Members that have something to say, or have ended; waits for one."""
        pipes = {member.pipe: member for member in self._members if not member.idle}
        return [pipes[pipe] for pipe in connection.wait(list(pipes)) if pipe in pipes]


class _Member:
    """One process and the number of the cell that it is at."""

    def __init__(self) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._prepared = False
        self.number: int | None = None

    @property
    def idle(self) -> bool:
        """Whether it waits for a cell."""
        return self._prepared and self.number is None

    def prepare(self, work: bytes) -> None:
        """Send the work. It answers when it has understood it."""
        # One that has ended is noticed when it is listened to.
        with suppress(BrokenPipeError):
            self.pipe.send_bytes(work)

    def give(self, number: int, cell: object) -> None:
        """Send a cell."""
        self.number = number
        with suppress(BrokenPipeError):
            self.pipe.send(cell)

    def hear(self) -> Any:
        """What it says: the outcome of its cell, or that it has understood the work.

        Raises:
            EOFError: it has ended.
            SpreadError: it has not understood the work.
        """
        try:
            told = self.pipe.recv()
        except ConnectionResetError:
            raise EOFError from None
        if not self._prepared and isinstance(told, Failed):
            raise SpreadError(f"a process cannot take the work: {told.reason}")
        self._prepared, self.number = True, None
        return told

    def terminate(self) -> None:
        """Tell it to end, whatever it is at."""
        self._process.terminate()

    def join(self) -> str:
        """Wait until it has ended, and say how."""
        self._process.join(_END_S)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()
        self.pipe.close()
        code = self._process.exitcode or 0
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"


def _serve(pipe: connection.Connection) -> None:
    """What a process does: understand the work, then one cell after the other."""
    # Ctrl-C reaches the whole group; whoever started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work: Work[Any, Any, Any] = pickle.loads(pipe.recv_bytes())
    except Exception as error:  # noqa: BLE001 - told to whoever asked
        pipe.send(Failed("", reason(error)))
        return
    pipe.send(None)
    # Nobody is there any more to give a cell, or to take an outcome.
    with suppress(EOFError, BrokenPipeError):
        while True:
            _carry_out(work, pipe.recv(), pipe)


def _carry_out(work: Work[Any, Any, Any], cell: object, pipe: connection.Connection) -> None:
    outcome = work.attempt(cell)
    try:
        pipe.send(outcome)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        pipe.send(Failed(work.name(cell), f"its result cannot be sent: {reason(error)}"))


def _end_with_parent() -> None:
    started_by = parent_process()
    assert started_by is not None
    connection.wait([started_by.sentinel])
    os._exit(1)
