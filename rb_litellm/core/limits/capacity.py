"""What deployments may take: requests and tokens of a minute (`rpm`, `tpm`), and requests at once.

A deployment past its limits answers 429, or LiteLLM does so in its place: it allows as many requests at
once as `max_parallel_requests` says, or else `rpm`, or else what `tpm` would allow. So whoever has no room
for a request is passed over while others have some. If nobody has room, nobody is passed over: whether to
refuse then is LiteLLM's to decide, and the provider's.

A minute here is the last 60 to 65 s, in steps: no minute of any clock then holds more than the limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import BoolArray, FloatArray

MINUTE_S = 60.0
STEP_S = 5.0
NEARLY = 0.95
"""From this part of a limit on it is taken for reached: others may use it who are not known of yet."""
_STEPS = int(MINUTE_S / STEP_S) + 1


@dataclass(frozen=True, slots=True, eq=False)
class Capacity:
    """Limits of N candidates, inf where there is none; every array has shape (N,)."""

    requests: FloatArray
    """A minute."""
    tokens: FloatArray
    """A minute, input and output."""
    slots: FloatArray
    """Requests at once, of one worker."""
    nearly_requests: FloatArray = field(init=False)
    """From how many requests on the limit is taken for reached,"""
    nearly_tokens: FloatArray = field(init=False)
    """and up to how many tokens it is not."""
    _least: tuple[float, float, float] = field(init=False)
    """The tightest of these two, and of the slots."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "nearly_requests", NEARLY * self.requests)
        object.__setattr__(self, "nearly_tokens", NEARLY * self.tokens)
        limits = self.nearly_requests, self.nearly_tokens, self.slots
        object.__setattr__(self, "_least", tuple(limit.min(initial=np.inf).item() for limit in limits))

    def is_far(self, requests: float, tokens: float, open_here: float) -> bool:
        """Whether nobody can be near a limit who has had at most so many requests and tokens in a minute, and
        has at most so many requests open."""
        least_requests, least_tokens, least_slots = self._least
        return requests < least_requests and tokens <= least_tokens and open_here < least_slots


def stated(deployments: Sequence[Deployment]) -> Capacity | None:
    """The limits of N deployments; None where nobody has any."""
    if all(d.rpm is None and d.tpm is None and d.max_parallel is None for d in deployments):
        return None
    return Capacity(
        _or_inf([d.rpm for d in deployments]),
        _or_inf([d.tpm for d in deployments]),
        _or_inf([d.max_parallel for d in deployments]),
    )


@dataclass(slots=True)
class Room:
    """What N candidates have taken of their capacity; (N,) arrays, changed as a batch is placed."""

    capacity: Capacity
    requests: FloatArray
    tokens: FloatArray
    open_here: FloatArray
    """Requests that this worker has open there."""

    def left(self, allowed: BoolArray, tokens: FloatArray) -> BoolArray:
        """Those of the allowed candidates (N,) that have room for a request of so many `tokens` (N,) there.

        Without anybody, those that LiteLLM will not refuse at once; without these too, all.
        """
        capacity = self.capacity
        free = allowed & (self.open_here < capacity.slots)
        if not np.count_nonzero(free):
            return allowed
        within = free & (self.requests < capacity.nearly_requests)
        within &= self.tokens + tokens <= capacity.nearly_tokens
        return within if np.count_nonzero(within) else free

    def suffices(self, requests: int, tokens: FloatArray) -> bool:
        """Whether every candidate has room for so many requests of so many tokens (N,) in all, whoever of
        them goes there."""
        capacity, others = self.capacity, requests - 1.0
        has_room = self.open_here + others < capacity.slots
        has_room &= self.requests + others < capacity.nearly_requests
        has_room &= self.tokens + tokens <= capacity.nearly_tokens
        return int(np.count_nonzero(has_room)) == has_room.size

    def take(self, its: int | BoolArray, tokens: float) -> None:
        """A request of so many tokens goes to this candidate, or this deployment's levels (N,)."""
        self.requests[its] += 1.0
        self.tokens[its] += tokens
        self.open_here[its] += 1.0

    def used(self, tokens: FloatArray) -> FloatArray:
        """(N,) what part of its tightest limit each would have used with a request of `tokens` (N,) more."""
        capacity = self.capacity
        parts: tuple[FloatArray, ...] = (
            (self.requests + 1.0) / np.maximum(capacity.requests, 1e-9),
            (self.tokens + tokens) / np.maximum(capacity.tokens, 1e-9),
            (self.open_here + 1.0) / np.maximum(capacity.slots, 1e-9),
        )
        used: FloatArray = np.maximum.reduce(parts)
        return used


class Usage:
    """Requests and tokens that went to each of R rows in the last minute. Times in s, never falling."""

    def __init__(self) -> None:
        self._steps = np.zeros((_STEPS, 2, 0))
        self._sums = np.zeros((2, 0))
        self._most = [0.0, 0.0]
        """No row has more requests, or more tokens."""
        self._step = 0

    def sent(self, placed: Iterable[tuple[int, float]], now: float) -> None:
        """Requests: the row that each goes to, and how many tokens it is expected to come to."""
        self._advance(now)
        for row, tokens in placed:
            self._grow(row + 1)
            for its in (self._steps[self._step % _STEPS], self._sums):
                its[0, row] += 1.0
                its[1, row] += tokens
            self._see(row)

    def corrected(self, row: int, tokens: float, now: float) -> None:
        """It came to so many tokens more or fewer than expected; passed over where nothing is counted."""
        if row < self._sums.shape[1] and self._sums.item(0, row) > 0.0:
            self._advance(now)
            for its in (self._steps[self._step % _STEPS], self._sums):
                its[1, row] += tokens
            self._see(row)

    def most(self, now: float) -> tuple[float, float]:
        """Requests and tokens of a minute that no row has more of."""
        self._advance(now)
        requests, tokens = self._most
        return requests, tokens

    def of_minute(self, rows: int, now: float) -> FloatArray:
        """(2, rows) requests and tokens, for all rows up to `rows`; to be read, not written."""
        self._grow(rows)
        self._advance(now)
        return np.maximum(self._sums[:, :rows], 0.0)

    def recent(self, now: float) -> dict[int, tuple[float, float]]:
        """Requests and tokens by row, of those that got any: for other workers to hear."""
        self._advance(now)
        requests, tokens = self._sums
        (rows,) = (requests > 0.0).nonzero()
        return {row: (requests.item(row), max(tokens.item(row), 0.0)) for row in rows.tolist()}

    def _see(self, row: int) -> None:
        for figure, most in enumerate(self._most):
            self._most[figure] = max(most, self._sums.item(figure, row))

    def _grow(self, rows: int) -> None:
        missing = rows - self._sums.shape[1]
        if missing > 0:
            self._steps = np.pad(self._steps, ((0, 0), (0, 0), (0, missing)))
            self._sums = np.pad(self._sums, ((0, 0), (0, missing)))

    def _advance(self, now: float) -> None:
        step = int(now // STEP_S)
        if step <= self._step:
            return
        for passed in range(min(step - self._step, _STEPS)):
            self._steps[(step - passed) % _STEPS] = 0.0
        self._step = step
        # Summed anew, so that rounding does not pile up.
        self._sums = self._steps.sum(axis=0)
        self._most = self._sums.max(axis=1, initial=0.0).tolist()


def _or_inf(limits: Sequence[float | None]) -> FloatArray:
    return np.array([np.inf if limit is None else limit for limit in limits], dtype=np.float64)
