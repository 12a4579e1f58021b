"""Cells spread over the workers of a Dask cluster that is there already.

What is shared goes to the cluster as the result of a task, not by `scatter`: when the worker that holds it
ends, Dask makes it again, and data that were scattered would be lost. Every thread of a worker has a copy of
its own, so that two cells never meet in one world. There are never more cells on the cluster than it has
threads: Dask gives up not only the cell that ends worker after worker, but all that wait there behind it.
"""

from __future__ import annotations

import asyncio
import pickle
import threading
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from rb_litellm.spread.release import release
from rb_litellm.spread.work import Cell, Failed, Result, Shared, SpreadError, Work, reason

if TYPE_CHECKING:
    from distributed import Client, Future

ANSWER_S = 20.0
"""How long a scheduler and its first worker may take to answer."""


@dataclass(frozen=True)
class _Refused:
    """A worker runs other code."""

    release: str


@contextmanager
def cluster_client(address: str) -> Iterator[Client]:
    """A client of the scheduler at `address`, all of whose workers run this very release.

    Raises:
        SpreadError: Dask is not installed here, no scheduler answers, or a worker is not of use.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SpreadError(
            "--scheduler needs Dask; install it with: pip install 'rb_litellm[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=ANSWER_S, set_as_default=False, name="routebalance")
    except (OSError, ValueError) as error:
        raise SpreadError(
            f"no Dask scheduler answers at {address}: {error or type(error).__name__}"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=ANSWER_S)
        except asyncio.TimeoutError:
            raise SpreadError(f"the Dask scheduler at {address} has no worker") from None
        # Dask's scheduler reads tasks, too.
        _check(f"the scheduler {address}", _on_scheduler(client))
        for worker, told in client.run(release, on_error="return").items():
            _check(f"worker {worker}", told)
        yield client


def _on_scheduler(client: Client) -> object:
    try:
        return client.run_on_scheduler(release)
    except Exception as error:  # noqa: BLE001 - Dask raises here whatever was raised there
        return error


def _check(who: str, told: object) -> None:
    # Dask tells some errors of another process as plain exceptions with the error's text.
    if isinstance(told, BaseException) and "ModuleNotFoundError" in repr(told):
        raise SpreadError(f"{who} does not have rb_litellm {release()}: {told}")
    if isinstance(told, BaseException):
        raise SpreadError(f"{who} does not say which rb_litellm it has: {reason(told)}")
    if told != release():
        raise SpreadError(f"{who} has rb_litellm {told}, this command is {release()}: install the same there")


class DaskTeam(Generic[Shared, Cell, Result]):
    """A team of all threads of a cluster's workers."""

    def __init__(self, work: Work[Shared, Cell, Result], client: Client) -> None:
        self._work = work
        self._client = client
        self._key = f"routebalance-{uuid.uuid4().hex}"
        with warnings.catch_warnings():
            # Dask advises to scatter what is large.
            warnings.simplefilter("ignore", UserWarning)
            self._sent = client.submit(bytes, pickle.dumps(work), key=self._key, pure=False)

    def __enter__(self) -> DaskTeam[Shared, Cell, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        self._sent.release()
        self._client.run(_forget, self._key, on_error="ignore")

    def map(
        self, cells: Sequence[Cell], on_done: Callable[[Result | Failed], None] = lambda _: None
    ) -> list[Result | Failed]:
        """See `Team.map`."""
        from distributed import as_completed

        outcomes: dict[int, Result | Failed] = {}
        waiting = deque(range(len(cells)))
        under_way: dict[Future, int] = {}
        finished = as_completed(loop=self._client.loop)
        try:
            while len(outcomes) < len(cells):
                room = max(sum(self._client.nthreads().values()), 1)
                while waiting and len(under_way) < room:
                    number = waiting.popleft()
                    future = self._client.submit(
                        _attempt, self._key, self._sent, release(), cells[number], pure=False
                    )
                    under_way[future] = number
                    finished.add(future)
                future = next(finished)
                number = under_way.pop(future)
                outcomes[number] = self._outcome(future, cells[number])
                on_done(outcomes[number])
        finally:
            self._client.cancel(list(under_way))
        return [outcomes[number] for number in range(len(cells))]

    def _outcome(self, future: Future, cell: Cell) -> Any:
        if future.status == "finished":
            told = future.result()
            if isinstance(told, _Refused):
                _check("a worker", told.release)
            return told
        error = future.exception() if future.status == "error" else None
        return Failed(self._work.name(cell), "the cluster lost it" if error is None else reason(error))


_held: dict[int, tuple[str, Work[Any, Any, Any]]] = {}
"""On a worker: what each thread works at, and under which key it was sent. One at a time."""


def _attempt(key: str, sent: bytes, of: str, cell: object) -> object:
    """Carry out a cell, on a worker."""
    if of != release():
        return _Refused(release())
    thread = threading.get_ident()
    if thread not in _held or _held[thread][0] != key:
        _held[thread] = key, pickle.loads(sent)
    return _held[thread][1].attempt(cell)


def _forget(key: str) -> None:
    """Nobody will ask for this work any more."""
    for thread, (of, _) in list(_held.items()):
        if of == key:
            del _held[thread]
