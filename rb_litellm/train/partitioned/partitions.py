"""The partitions of a training on a cluster: which worker keeps which, and what is asked of all of them.

What is kept stays where it was made (Dask calls that a future); what comes here is labels, sums and figures
of prompts. A worker that ends takes its partition along, so training ends with an error then.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rb_litellm.core.types import BoolArray, IntArray
from rb_litellm.spread.work import SpreadError, reason
from rb_litellm.train.data.dataset import DataError, Dataset
from rb_litellm.train.partitioned.partition import Partition

if TYPE_CHECKING:
    from distributed import Client, Future

_LOOK_S = 2.0
"""Between two looks at whether all workers are there."""


class Partitions:
    """N partitions, one for each worker that files were given to."""

    def __init__(self, client: Client, paths: Sequence[Path]) -> None:
        """Have all files read.

        Raises:
            DataError: rows that are wrong.
            SpreadError: a worker could not read its files.
        """
        self.client = client
        # Which worker has which files makes no difference: only which files are together does.
        workers = sorted(client.nthreads())[: len(paths)]
        self._workers = workers
        self._kept = [
            self._submit(n, Partition.read, [path.resolve() for path in paths[n :: len(workers)]])
            for n in range(len(workers))
        ]
        parts = self.gather(self.keep(Partition.labels))
        ids = np.concatenate([part.prompt_ids for part in parts])
        order = np.argsort(ids, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        ends = np.cumsum([len(part.prompt_ids) for part in parts])
        self.rows = np.split(place, ends[:-1])
        """For each partition, where its prompts stand among all P, which are in the order of their ids."""
        self.labels = _together(parts, order)
        """Of all prompts, without their texts."""

    def keep(self, function: Callable[..., Any], *each: Sequence[Any], of_all: object = None) -> list[Future]:
        """Have `function` carried out with each partition, the n-th of each of `each`, and `of_all`."""
        return self.on(function, self._kept, *each, of_all=of_all)

    def on(self, function: Callable[..., Any], *each: Sequence[Any], of_all: object = None) -> list[Future]:
        """The same without the partition; what is kept may stand among the arguments."""
        shared = () if of_all is None else self.client.scatter([of_all], broadcast=True, hash=False)
        return [
            self._submit(n, function, *(one[n] for one in each), *shared) for n in range(len(self._workers))
        ]

    def gather(self, futures: Sequence[Future]) -> list[Any]:
        """What they give.

        Raises:
            SpreadError: one failed, or its worker has ended.
        """
        from distributed import wait

        while True:
            try:
                wait(futures, timeout=_LOOK_S)
                break
            except asyncio.TimeoutError:
                self.check()
        for future in futures:
            if future.status == "error":
                error = future.exception()
                raise error if isinstance(error, DataError) else SpreadError(f"a worker: {reason(error)}")
        found: list[Any] = self.client.gather(list(futures))
        return found

    def check(self) -> None:
        """Raise SpreadError if a worker has ended."""
        lost = set(self._workers) - set(self.client.nthreads())
        if lost:
            raise SpreadError(
                f"worker {min(lost)} has ended, and its part of the answers with it; train again"
            )

    def some(self, mask: BoolArray) -> Some:
        """Those of all prompts that `mask` (P,) names."""
        return Some(tuple(self.rows), tuple(np.flatnonzero(mask[rows]) for rows in self.rows))

    def every(self) -> Some:
        """All prompts."""
        return self.some(np.ones(len(self.labels.prompts), dtype=np.bool_))

    def _submit(self, number: int, function: Callable[..., Any], *arguments: object) -> Future:
        worker = [self._workers[number]]
        sent = [
            self.client.scatter([one], workers=worker, hash=False)[0] if isinstance(one, np.ndarray) else one
            for one in arguments
        ]
        return self.client.submit(function, *sent, workers=worker, pure=False)


@dataclass(frozen=True)
class Some:
    """Some of all P prompts."""

    _rows: tuple[IntArray, ...]
    chosen: tuple[IntArray, ...]
    """Their places in each partition."""

    def split(self, values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """Their figures, out of those of all prompts (P, ...), by partition."""
        return [values[rows[chosen]] for rows, chosen in zip(self._rows, self.chosen, strict=True)]

    def join(self, parts: Sequence[Any]) -> npt.NDArray[Any]:
        """Their figures in the order of all prompts, from those of the partitions."""
        places = [rows[chosen] for rows, chosen in zip(self._rows, self.chosen, strict=True)]
        joined: npt.NDArray[Any] = np.concatenate(parts)[np.argsort(np.concatenate(places))]
        return joined


def _together(parts: Sequence[Dataset], order: IntArray) -> Dataset:
    """The labels of all partitions, prompts in the given order."""
    models = sorted({model for part in parts for model in part.models})
    wide = [part.for_models(models) for part in parts]
    digests = [part.sha256 for part in parts]
    whole = Dataset(
        prompts=tuple(chain.from_iterable(part.prompts for part in parts)),
        prompt_ids=tuple(chain.from_iterable(part.prompt_ids for part in parts)),
        tasks=tuple(chain.from_iterable(part.tasks for part in parts)),
        models=tuple(models),
        quality=np.concatenate([part.quality for part in wide]),
        output_tokens=np.concatenate([part.output_tokens for part in wide]),
        rows=0,
        sha256="",
    )
    return replace(
        whole.take(order),
        rows=sum(part.rows for part in parts),
        wrong=sum(part.wrong for part in parts),
        sha256=digests[0] if len(parts) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest(),
    )
