"""One worker's part of sums that all workers add up: what it adds, what it has told, and what all have.

What was told is told again as it was until an answer comes, under the same number, so that the store adds it
once whether or not it had arrived. What comes meanwhile waits for the next exchange. A worker that dies
takes with it what it has not told yet.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from uuid import uuid4

from rb_litellm.core.grade_sums import MAX_NAMES, OF_ABILITIES, Grades, GradeSum, SumRule

MAX_UNKNOWN = 512
"""Grades of calls that another worker may know."""
_NONE = GradeSum(0.0, 0.0, 0.0)


class SharedGrades:
    """Of one worker and one kind of sums. Not thread-safe, but `of` may be asked from any thread.

    `take` is given a call and its grade, adds what follows from it, and says whether the call is known here.
    """

    def __init__(
        self, rule: SumRule = OF_ABILITIES, take: Callable[[str, float], bool] | None = None
    ) -> None:
        self._most = rule.most
        self._take = take
        self._own: dict[str, GradeSum] = {}
        """Not told yet."""
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._known: list[str] = []
        self._told: Grades | None = None
        """Told, and not answered yet."""
        self._heard: Mapping[str, GradeSum] = {}
        self._worker = ""
        self._number = 0

    def add(self, name: str, one: GradeSum) -> None:
        """Add to a sum; names beyond MAX_NAMES are left out."""
        held = self._own.get(name)
        if held is not None:
            self._own[name] = held.plus(one, self._most)
        elif len(self._own) < MAX_NAMES:
            self._own[name] = one

    def of(self, name: str) -> GradeSum:
        """A sum over all workers, as far as it is known here. Cheap."""
        found, told = self._heard.get(name, _NONE), self._told
        if told is not None and (one := told.sums.get(name)) is not None:
            found = found.plus(one, self._most)
        own = self._own.get(name)
        return found if own is None else found.plus(own, self._most)

    def all(self) -> dict[str, GradeSum]:
        """All sums, by name."""
        told = {} if self._told is None else self._told.sums
        return {name: self.of(name) for name in {**self._heard, **told, **self._own}}

    def graded(self, call_id: str, score: float) -> None:
        """A call was graded, which others may know instead; a later grade replaces an earlier one."""
        if self._take is not None and self._take(call_id, score):
            return
        self._unknown[call_id] = score
        self._unknown.move_to_end(call_id)
        if len(self._unknown) > MAX_UNKNOWN:
            self._unknown.popitem(last=False)

    def tell(self) -> Grades:
        """What others do not know yet. It counts as told once `hear` is given it with the answer."""
        if not self._told:
            # A name that no fork of this process has.
            self._worker = self._worker or uuid4().hex[:16]
            self._number += 1
            known = tuple(self._known)
            self._told = Grades(self._own, dict(self._unknown), known, self._worker, self._number)
            self._own = {}
        return self._told

    def hear(self, told: Grades, answer: Grades) -> None:
        """`told` has arrived, and this is what all workers have."""
        heard = {name: one for name, one in answer.sums.items() if one.sound(self._most)}
        if told is self._told:
            self._told = None
        self._heard = heard
        for call_id, score in told.unknown.items():
            if self._unknown.get(call_id) == score:
                del self._unknown[call_id]
        known = set(told.known)
        self._known = [one for one in self._known if one not in known]
        if self._take is not None:
            taken = [call_id for call_id, score in answer.unknown.items() if self._take(call_id, score)]
            self._known = [*self._known, *taken][-MAX_UNKNOWN:]
