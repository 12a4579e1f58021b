"""`POST /routebalance/feedback`: how good the answer of a call was, for `routebalance train --feedback`.

The body is `{"call_id": ..., "score": ...}`: the response's `x-litellm-call-id`, and a number in [0, 1]; in
place of the score `"thumbs": "up"` or `"down"`. A later grade of a call replaces an earlier one. With
`feedback: {learn: true}` the default predictor learns from it, too. `GET` shows where grades go, the latest
of this worker, and what all workers have learned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

# Imported by the proxy alone, which has it; FastAPI reads the annotations below from this module.
from fastapi import APIRouter, Depends, HTTPException, Request

from rb_litellm.litellm_adapter.proxy.endpoints.authentication import for_admins
from rb_litellm.litellm_adapter.proxy.endpoints.turns import Turns
from rb_litellm.logs.feedback import FeedbackFull, parse_feedback

if TYPE_CHECKING:
    from rb_litellm.config import FeedbackSettings
    from rb_litellm.litellm_adapter.shared.feedback_file import FeedbackBox
    from rb_litellm.litellm_adapter.worker import Worker
    from rb_litellm.predictors.ability_learning import AbilityLearning

_OFF = "no feedback is taken; set routing_strategy_args.feedback: {path: FILE, learn: true}"


def endpoints(worker: Worker, turns: Turns) -> APIRouter:
    """The endpoints of this file, for `routes.mount`."""

    runtime = worker.runtime
    return feedback_router(
        runtime.feedback,
        runtime.learning,
        for_admins(),
        turns,
        runtime.graded,
        runtime.second_answers.answering,
    )


def feedback_router(
    box: FeedbackBox,
    learning: AbilityLearning,
    check: Any,
    turns: Turns,
    graded: Callable[[str, float], None] | None = None,
    answering: Callable[[str], str] = str,
) -> APIRouter:
    """Both endpoints, for whom `check` admits; `graded` is told of each grade, `learning` if None.

    `answering` tells the call whose answer the client of a call has.
    """
    router = APIRouter(dependencies=[Depends(check)])

    def settings() -> FeedbackSettings:
        if box.settings is None:
            raise HTTPException(404, {"error": _OFF})
        return box.settings

    @router.post("/feedback", status_code=201)
    async def give(request: Request) -> dict[str, Any]:
        """Keep a grade."""
        file = settings()
        try:
            sent = await request.json()
            one = await turns.step(lambda: parse_feedback(sent))
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, {"error": str(error)[:500]}) from None

        def keep() -> None:
            its = replace(one, call_id=answering(one.call_id))
            box.keep(file, its)
            (graded or learning.grade)(its.call_id, its.score)

        try:
            # A slow disk must not hold up the loop that serves requests.
            await asyncio.to_thread(keep)
        except FeedbackFull as error:
            remedy = "train on it and move it away, or raise feedback.max_bytes"
            raise HTTPException(507, {"error": f"{error}; {remedy}"}) from None
        except OSError as error:
            told = error.strerror or str(error)
            raise HTTPException(503, {"error": f"feedback could not be written ({told})"}) from None
        return asdict(one)

    @router.get("/feedback")
    async def show() -> dict[str, Any]:
        """The latest grades of the worker that answers, and what was learned from those of all."""
        recent = await turns.each(list(box.recent), asdict)
        return {**settings().model_dump(), "recent": recent, "learned": learning.report()}

    return router
