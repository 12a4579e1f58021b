"""Which deployments answer nobody, as all workers together have seen, and who may look whether one is back.

Three failures in a row, in the whole fleet, are an outage: the deployment gets nothing but probes, single
requests with pauses that double from 5 s to 60 s. Two good answers in a row end it. A deployment that fails
now and then is no outage; it is priced (`availability`). Where nobody is left, nobody is passed over.

A worker tells what it has seen itself: its failures since the last good answer that it knows of, its good
answers since the last failure, and when the last of each was. So a failure that one worker sees counts for
all, and an answer that one of them gets ends every streak that is older.

A request that another deployment answers with an error as well is perhaps one that nobody can answer. What it
has counted against the first one is taken back, so that a few such requests take nobody out of service.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rb_litellm.core.types import BoolArray, IntArray, Seen

FAILURES = 3
GOOD_ANSWERS = 2
FIRST_PAUSE_S, LAST_PAUSE_S = 5.0, 60.0
TOLD_FOR_S = 300.0
"""What is older is not told to other workers, nor counted when they tell it."""
MAX_CALLS = 1024
"""Failed calls of which a retry may say more; the oldest is forgotten, and its failure stays."""


@dataclass(slots=True)
class _Deployment:
    own: Seen = field(default_factory=Seen)
    others: tuple[Seen, ...] = ()
    out: bool = False
    pause_s: float = FIRST_PAUSE_S
    due_s: float = 0.0


class Outages:
    """Of deployments by row, those alone that have failed. Times in s on one monotonic clock."""

    def __init__(self) -> None:
        self._failed: dict[int, _Deployment] = {}
        self._out: set[int] = set()
        self._calls: OrderedDict[str, int] = OrderedDict()
        """Where calls have failed first."""

    @property
    def any_out(self) -> bool:
        """Whether there is any outage."""
        return bool(self._out)

    def is_out(self, row: int) -> bool:
        """Whether this one answers nobody."""
        return row in self._out

    def observe(self, row: int, answered: bool, now: float, call_id: str = "") -> None:
        """An attempt of this worker was answered, or failed for the server's fault.

        `call_id` names the call of a failure that may be the request's fault after all.
        """
        its = self._failed.get(row)
        if its is None:
            if answered:
                return
            its = self._failed[row] = _Deployment()
        own = its.own
        if answered:
            its.own = own._replace(failures=0, answers=own.answers + 1, answered_s=now)
        else:
            its.own = own._replace(failures=own.failures + 1, answers=0, failed_s=now)
            if call_id:
                self._calls[call_id] = row
                if len(self._calls) > MAX_CALLS:
                    self._calls.popitem(last=False)
            if its.out:
                its.pause_s = min(2.0 * its.pause_s, LAST_PAUSE_S)
                its.due_s = now + its.pause_s
        self._judge(row, its, now)

    def failed_again(self, row: int, call_id: str) -> None:
        """A call that has failed was answered with an error by this one, too."""
        first = self._calls.get(call_id)
        if first is None or first == row:
            return
        del self._calls[call_id]
        its = self._failed.get(first)
        if its is None or not its.own.failures:
            return
        its.own = its.own._replace(failures=its.own.failures - 1)
        if its.out and _in_a_row(its) < FAILURES:
            its.out = False
            self._out.discard(first)

    def heard(self, row: int, others: Sequence[Seen], now: float) -> None:
        """What the other workers have seen of it."""
        its = self._failed.get(row)
        if its is None:
            if not others:
                return
            its = self._failed[row] = _Deployment()
        its.others = tuple(others)
        self._judge(row, its, now)

    def forget(self, row: int) -> None:
        """Its deployment is gone: it has never failed."""
        self._failed.pop(row, None)
        self._out.discard(row)
        for call_id in [call_id for call_id, first in self._calls.items() if first == row]:
            del self._calls[call_id]

    def told(self, now: float) -> dict[int, Seen]:
        """What this worker has seen itself, by row, of those that have failed lately anywhere."""
        found = {}
        for row, its in list(self._failed.items()):
            last_s = max(its.own.failed_s, *(seen.failed_s for seen in its.others), -math.inf)
            if now - last_s > TOLD_FOR_S and not its.out:
                del self._failed[row]
            elif its.own != Seen():
                found[row] = its.own
        return found

    def passed_over(self, rows: IntArray, now: float, probing: bool) -> BoolArray | None:
        """(n,) which of these rows get nothing now; None for none. A `probing` request may go and see."""
        if not self._out:
            return None
        found: BoolArray = np.array(
            [row in self._out and not (probing and now >= self._failed[row].due_s) for row in rows.tolist()],
            dtype=np.bool_,
        )
        return found if found.any() else None

    def sent(self, row: int, now: float) -> None:
        """A request goes there; the next one waits until it has been answered, or for the pause."""
        if row in self._out:
            self._failed[row].due_s = now + self._failed[row].pause_s

    def _judge(self, row: int, its: _Deployment, now: float) -> None:
        answered_s = max((seen.answered_s for seen in its.others), default=-math.inf)
        failed_s = max((seen.failed_s for seen in its.others), default=-math.inf)
        if answered_s > its.own.failed_s:
            its.own = its.own._replace(failures=0)
        if failed_s > its.own.answered_s:
            its.own = its.own._replace(answers=0)
        every = (its.own, *its.others)
        failed_s = max(seen.failed_s for seen in every)
        answers = sum(seen.answers for seen in every if seen.answered_s > failed_s)
        if _in_a_row(its) >= FAILURES and not its.out:
            its.out, its.pause_s, its.due_s = True, FIRST_PAUSE_S, now + FIRST_PAUSE_S
            self._out.add(row)
        elif its.out and answers >= GOOD_ANSWERS:
            its.out = False
            self._out.discard(row)
        elif its.out and answers:
            # It seems to be back: the next one may look at once.
            its.due_s = min(its.due_s, now)


def _in_a_row(its: _Deployment) -> int:
    """Failures since the last good answer, in the whole fleet."""
    every = (its.own, *its.others)
    answered_s = max(seen.answered_s for seen in every)
    return sum(seen.failures for seen in every if seen.failed_s > answered_s)
