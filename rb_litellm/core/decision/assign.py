"""Assign a batch of requests to deployments: greedy list scheduling, longest expected answer first.

The order is that of longest-processing-time-first scheduling (LPT; Graham, Bounds on Multiprocessing Timing
Anomalies, 1969): a misplaced long answer costs most, so it is placed while the choice is still free. Each
request is scored against the load that includes those placed before it, as in RouteBalance
(https://arxiv.org/abs/2606.17949). Otherwise all requests of a batch would go to the one deployment that
looked best to each of them (herding).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from random import Random

import numpy as np

from rb_litellm.core.compiled.forecaster import CompiledForecaster, batch_forecaster
from rb_litellm.core.compiled.in_use import IN_USE
from rb_litellm.core.compiled.score_table import ScoreTable
from rb_litellm.core.decision.alike import instead
from rb_litellm.core.decision.batch import BatchRequest, Fleet, Prescored, longest_first, prescore_one
from rb_litellm.core.decision.best import one_of
from rb_litellm.core.decision.breakdown import Decision, Refusal
from rb_litellm.core.decision.exploring.trying import may_look, recovers
from rb_litellm.core.decision.single import place
from rb_litellm.core.limits.capacity import Room


def assign(
    requests: Sequence[BatchRequest], fleet: Fleet, now: float, random: Random
) -> list[Decision | Refusal]:
    """Choose a deployment for each request, or refuse it by its own limits; in the order of `requests`.

    Ties in the score go to the shortest queue, then to the least recently chosen deployment, then to
    `random`. `fleet.state` and `fleet.last_chosen_s` are updated with what was assigned.

    Raises:
        ValueError: a request allows no deployment at all.
    """
    order = longest_first(requests) if len(requests) > 1 else [0]
    placed = _Batch([requests[position] for position in order], fleet, now, random).placed()
    decisions = dict(zip(order, placed, strict=True))
    return [decisions[position] for position in range(len(requests))]


class _Batch:
    """Requests in the order in which they are placed.

    Nearly all are ordinary: nothing but quality, cost and time counts. Where there are compiled loops, these
    are placed by a `ScoreTable`, the others singly.
    """

    def __init__(self, requests: Sequence[BatchRequest], fleet: Fleet, now: float, random: Random) -> None:
        self._requests = requests
        self._fleet = fleet
        self._now = now
        self._random = random
        self._forecaster = forecaster = batch_forecaster(fleet.coefficients, fleet.state, fleet.slowdown)
        self._has_room = fleet.room is None or self._room_suffices(fleet.room)
        self._table: ScoreTable | None = None
        if self._has_room and isinstance(forecaster, CompiledForecaster) and any(map(_is_ordinary, requests)):
            self._table = ScoreTable(requests, fleet, forecaster, now)

    @cached_property
    def _prescored(self) -> Prescored:
        """Of all requests, once one of them is placed singly."""
        return Prescored(self._requests, self._fleet.prices)

    def placed(self) -> list[Decision | Refusal]:
        """Place them all."""
        made: list[Decision | Refusal] = []
        while len(made) < len(self._requests):
            looks = None
            if self._table is not None:
                end, looks = self._ordinary(len(made))
                made += self._by_table(self._table, len(made), end)
                if len(made) < end:
                    self._table = looks = None  # The loop has failed: NumPy goes on.
            if len(made) < len(self._requests):
                made.append(self._singly(len(made), looks))
        return made

    def _ordinary(self, first: int) -> tuple[int, bool | None]:
        """The next request that is not ordinary, and whether that is because it may be a trial."""
        for row in range(first, len(self._requests)):
            if not _is_ordinary(self._requests[row]):
                return row, None
            if may_look(self._requests[row], self._fleet.trials, self._now):
                return row, True
        return len(self._requests), None

    def _by_table(self, table: ScoreTable, first: int, end: int) -> list[Decision]:
        """Place ordinary requests from `first` up to `end`, or to where the loop fails."""
        fleet = self._fleet
        choices = fleet.sampling is not None or fleet.twins is not None or fleet.credit is not None
        at = first
        while at < end:
            left = IN_USE.either(partial(table.place, first=at, end=end, alone=choices), lambda: None)
            if left is None:
                table.chosen[at] = -1
                break
            at, equals = left
            if at < end:
                chosen = one_of(table.best, equals, self._random)
                table.chosen[at] = self._instead(table, at, chosen) if choices else chosen
        return [self._decision(table, row) for row in range(first, at)]

    def _instead(self, table: ScoreTable, row: int, chosen: int) -> int:
        request = self._requests[row]
        prefill_tokens = np.full(request.allowed.size, request.input_tokens)
        return instead(chosen, request, table.breakdown(row), prefill_tokens, self._fleet, self._random)

    def _decision(self, table: ScoreTable, row: int) -> Decision:
        request, chosen = self._requests[row], table.chosen.item(row)
        decision = Decision(
            index=chosen,
            score=table.score(row, chosen),
            prediction=table.prediction(row, chosen),
            candidates=int(np.count_nonzero(request.allowed)),
            in_flight=table.met.item(row, 0),
            pending_prefill_tokens=table.met.item(row, 1),
            prefill_tokens=float(request.input_tokens),
            compute_breakdown=partial(table.breakdown, row),
        )
        if self._fleet.room is not None:
            tokens = request.input_tokens + decision.prediction.output_tokens
            self._fleet.room.take(self._fleet.levels_of(chosen), tokens)
        return decision

    def _singly(self, row: int, looks: bool | None) -> Decision | Refusal:
        fleet, alone = self._fleet, len(self._requests) == 1
        prescored = prescore_one(self._requests[0], fleet.prices) if alone else self._prescored[row]
        return place(prescored, fleet, self._forecaster, self._has_room, looks, self._now, self._random)

    def _room_suffices(self, room: Room) -> bool:
        # Of whom has no room, that is told and explained.
        prompts = sum(request.input_tokens for request in self._requests)
        tokens = np.add.reduce([request.output_tokens for request in self._requests]) + prompts
        return room.suffices(len(self._requests), tokens)


def _is_ordinary(request: BatchRequest) -> bool:
    return (
        request.limits is None
        and request.cached_prefix is None
        and request.cascade is None
        and request.best_of is None
        and request.horizon is None
        and request.objective.plain_weights is not None
        and (request.exploration is None or recovers(request))
    )
