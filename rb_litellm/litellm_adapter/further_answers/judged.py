"""Requests that may be answered more than once: what a selector offers them, and what follows a first answer.

Everything that may follow is decided at the request's first pick, by the joint score: a second model's answer
where a judge calls the first one poor (`cascade`), or one of several answers of one model (`best_of`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rb_litellm.balancer import Assignment
from rb_litellm.config import RouteBalanceSettings
from rb_litellm.controls import Given, Plan
from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.further_answers.best_of import BestOf
from rb_litellm.litellm_adapter.further_answers.cascade import Cascades
from rb_litellm.litellm_adapter.further_answers.choices import answers_of, only
from rb_litellm.litellm_adapter.further_answers.eligible import may_be_answered_twice, readable
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.explanation import current_inquiry
from rb_litellm.litellm_adapter.request.stages import (
    ONCE,
    FollowUp,
    Offer,
    Run,
    during,
    run_at_pick,
    run_of,
)
from rb_litellm.litellm_adapter.request.waiting.pending import PendingRequest
from rb_litellm.litellm_adapter.worker import Worker, worker


class Judged:
    """Of one selector."""

    def __init__(self, router: Any, settings: RouteBalanceSettings, worker: Worker) -> None:
        cascade, best_of = settings.cascade, settings.best_of
        self._cascades = None if cascade is None else Cascades(router, cascade, worker)
        self._best_of = None if best_of is None else BestOf(router, best_of, worker)
        worker.runtime.judges.on = True

    def offered(
        self,
        plan: Plan,
        given: Given,
        arrival: Arrival,
        prompt: Prompt,
        messages: Any,
        kwargs: Mapping[str, Any] | None,
        *,
        again: bool,
    ) -> Offer:
        """By what this request, with these controls, may be answered more than once; `again` says that an
        attempt has failed.

        To be asked in the request's own context. A loop of tool calls stays with who has begun it.
        """
        run = run_at_pick(arrival.call_id)
        if run is not None:
            _given_up(run)
            run.given = given
        if arrival.thread or not readable(prompt):
            return ONCE
        asked = dict(kwargs or {})
        if current_inquiry() is not None:
            if not may_be_answered_twice({**asked, "messages": messages}):
                return ONCE
        elif run is None:
            return ONCE
        cascade = best_of = None
        if self._cascades is not None and plan.cascade:
            cascade = self._cascades.rule()
        if self._best_of is not None and plan.best_of and not again and (run is None or run.several):
            best_of = self._best_of.rule(asked, prompt)
        return Offer(cascade, best_of, run)

    def decided(self, pending: PendingRequest, placed: Assignment) -> bool:
        """A request is placed: whoever waits for its answer is to know what follows. False for nothing."""
        run, decision = pending.offer.run, placed.decision
        if run is None:
            return False
        follow_up: FollowUp | None = None
        if decision.cascade is not None and self._cascades is not None:
            follow_up = self._cascades.follow_up(run, decision.cascade, pending, placed)
        if decision.best_of is not None and self._best_of is not None:
            follow_up = self._best_of.follow_up(run, decision.best_of, pending, placed)
            run.several_asked = True
        run.follow_up, run.spender = follow_up, pending.used.spender
        return follow_up is not None


async def followed_up(original: Callable[..., Awaitable[Any]], _: Any, *args: Any, **kwargs: Any) -> Any:
    """Stands around the Router's chat completions: what a pick has decided to follow an answer follows."""
    run = None
    if not args and worker().runtime.judges.on and may_be_answered_twice(kwargs):
        run = run_of(kwargs)
    if run is None:
        return await original(*args, **kwargs)
    response = await _answered(original, run, kwargs)
    if run.follow_up is not None:
        response = await run.follow_up.follow(response)
    # Whoever answered, and whatever failed since: nobody gets several because we asked for them.
    return only(response, 0) if run.several_asked and len(answers_of(response)) > 1 else response


async def _answered(original: Callable[..., Awaitable[Any]], run: Run, kwargs: dict[str, Any]) -> Any:
    """The first answer; where it fails for being asked for several, a single one."""
    try:
        with during(run):
            return await original(**kwargs)
    except BaseException as error:
        follow_up = _given_up(run)
        if follow_up is None or not follow_up.without(error):
            raise
    run.several = False
    try:
        with during(run):
            return await original(**run.anew())
    except BaseException as error:
        _given_up(run)
        follow_up.alone_too(error)
        raise


def _given_up(run: Run) -> FollowUp | None:
    """What was to follow, and does not."""
    follow_up, run.follow_up = run.follow_up, None
    if follow_up is not None:
        follow_up.given_up()
    return follow_up
