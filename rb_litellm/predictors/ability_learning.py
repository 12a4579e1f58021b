"""Feedback corrects what the default predictor thinks of each model at each kind of prompt.

A call is remembered with what was predicted of its answer; its grade may come much later, and to another
worker. All workers add their grades up in one place, and each reads the sums from there: `tell` and `hear`,
off the request path. What comes of them are shifts of ability, a small matrix that `corrected` adds.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rb_litellm.core.grade_sums import Grades, GradeSum, shifts, sum_name
from rb_litellm.core.shared_grades import SharedGrades
from rb_litellm.core.types import FloatArray, ModelPredictions

MAX_CALLS = 8192
"""Calls that can still be graded; the oldest is forgotten."""
MAX_SETS = 256
"""Sets of models whose shifts are kept as an array."""
_LEAST_KIND = 0.05
"""A kind that a prompt is of with less probability is not told of its grade."""
_COMPARISON = 0.5
"""A comparison of two answers says half as much of each as a grade."""


@dataclass(frozen=True, slots=True)
class Gradable:
    """What a grade of one answer will be compared with."""

    model: str
    kinds: tuple[float, ...]
    """Probability of each kind of prompt."""
    quality: float
    """As predicted before any correction."""


@dataclass(slots=True)
class _Call:
    gradable: Gradable
    score: float | None = None


class AbilityLearning:
    """One per worker, safe from any thread. `kinds` are the names of the predictor's kinds of prompt."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.on = False
        """Whether anything is remembered and corrected."""
        self._kinds = tuple(kinds)
        self._lock = threading.Lock()
        self._calls: OrderedDict[str, _Call] = OrderedDict()
        self._sums = SharedGrades(take=self._take)
        self._shifts: dict[str, float] = {}
        self._arrays: dict[tuple[str, ...], FloatArray | None] = {}

    def remember(self, call_id: str, gradable: Gradable | None) -> None:
        """A call was sent to this model. Cheap."""
        if not self.on or gradable is None:
            return
        with self._lock:
            self._calls[call_id] = _Call(gradable)
            self._calls.move_to_end(call_id)
            if len(self._calls) > MAX_CALLS:
                self._calls.popitem(last=False)

    def same_answer(self, call_id: str, answering: str) -> None:
        """The client of a call has the answer of another one: its grades are that one's."""
        with self._lock:
            if call_id in self._calls and (call := self._calls.get(answering)) is not None:
                self._calls[call_id] = call

    def grade(self, call_id: str, score: float) -> None:
        """The answer of a call was graded, in [0, 1]. A later grade of a call replaces an earlier one."""
        if not self.on:
            return
        with self._lock:
            self._sums.graded(call_id, score)

    def compare(self, call_id: str, other: str, quality: float, won: float) -> None:
        """A judge compared the answer of a call with that of `other`; `won` is 1 where that was better.

        A tie is 0.5; `quality` was predicted of the other's answer. Both models learn from it.
        """
        if not self.on:
            return
        with self._lock:
            call = self._calls.get(call_id)
            if call is None or call.gradable.model == other:
                return
            served = call.gradable
            expected = min(max(0.5 + (quality - served.quality) / 2.0, 0.0), 1.0)
            self._add(other, served.kinds, won, expected, _COMPARISON)
            self._add(served.model, served.kinds, 1.0 - won, 1.0 - expected, _COMPARISON)

    def tell(self) -> Grades:
        """What others do not know yet. It counts as told once `hear` is given it with the answer."""
        with self._lock:
            return self._sums.tell()

    def hear(self, told: Grades, answer: Grades) -> None:
        """`told` has arrived, and this is what all workers have."""
        with self._lock:
            self._sums.hear(told, answer)
            self._refresh(self._sums.all())

    def shifts(self, models: Sequence[str]) -> FloatArray | None:
        """(M, K) shifts of these models' abilities; None where all are 0. Cheap."""
        key = tuple(models)
        try:
            return self._arrays[key]
        except KeyError:
            pass
        with self._lock:
            found = np.array(
                [[self._shifts.get(sum_name(kind, model), 0.0) for kind in self._kinds] for model in key]
            )
            if len(self._arrays) >= MAX_SETS:
                self._arrays = {}
            self._arrays[key] = found if found.any() else None
            return self._arrays[key]

    def correct(self, told: ModelPredictions, models: Sequence[str]) -> ModelPredictions:
        """Predictions of R prompts for M models with what grades have taught; unchanged while it is off."""
        if not self.on or told.kinds is None:
            return told
        shifts = self.shifts(models)
        quality = told.quality if shifts is None else corrected(told.quality, told.kinds, shifts)
        return replace(told, quality=quality, uncorrected_quality=told.quality)

    def report(self) -> dict[str, dict[str, float]]:
        """For people: grades and shift of each model and kind, by name."""
        with self._lock:
            return {
                name: {"grades": round(one.weight, 2), "shift": round(self._shifts.get(name, 0.0), 4)}
                for name, one in sorted(self._sums.all().items())
            }

    def _take(self, call_id: str, score: float) -> bool:
        call = self._calls.get(call_id)
        if call is None:
            return False
        given = call.gradable
        if call.score is None:
            self._add(given.model, given.kinds, score, given.quality, 1.0)
        elif call.score != score:
            for kind, share in self._told_kinds(given.kinds):
                self._count(sum_name(kind, given.model), GradeSum(0.0, share * (score - call.score), 0.0))
        call.score = score
        return True

    def _add(self, model: str, kinds: Sequence[float], score: float, expected: float, weight: float) -> None:
        for kind, share in self._told_kinds(kinds):
            self._count(sum_name(kind, model), GradeSum(1.0, score, expected).times(weight * share))

    def _told_kinds(self, kinds: Sequence[float]) -> list[tuple[str, float]]:
        return [(k, share) for k, share in zip(self._kinds, kinds, strict=True) if share >= _LEAST_KIND]

    def _count(self, name: str, one: GradeSum) -> None:
        self._sums.add(name, one)
        self._shifts[name] = self._sums.of(name).shift()
        self._arrays = {}

    def _refresh(self, totals: Mapping[str, GradeSum]) -> None:
        told = shifts(list(totals.values())).tolist()
        self._shifts = dict(zip(totals, told, strict=True))
        self._arrays = {}


def corrected(quality: FloatArray, kinds: FloatArray, shifts: FloatArray) -> FloatArray:
    """Qualities (R, M) of prompts with kinds (R, K), for models whose abilities are off by shifts (M, K)."""
    bounded = np.minimum(np.maximum(quality, 1e-4), 1.0 - 1e-4)
    logits = np.log(bounded / (1.0 - bounded)) + kinds @ shifts.T
    moved: FloatArray = 1.0 / (1.0 + np.exp(-logits))
    return np.where(shifts.any(axis=1), moved, quality)
