"""A request answered in stages: the first answer judged, and another model asked where it is poor.

The pick of the first stage has decided for this, by the joint score. What follows here is two further calls
of LiteLLM's own Router, so that its filters, cooldowns, rate limits, spend logs and callbacks hold for them,
and our own pick chooses the second deployment by the load of that moment. The request's key pays for all.

Whatever fails, the client has the first answer: a judge that errs or takes too long, a second model that
does, a budget that does not pay for more. A client that leaves cancels what is under way. None of the calls
made here may be answered twice.
"""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from rb_litellm.balancer import Assignment
from rb_litellm.config import CascadeSettings
from rb_litellm.controls import Plan
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.cascading.judge import Judge
from rb_litellm.litellm_adapter.hosts import host
from rb_litellm.litellm_adapter.lifecycle.usage import ended_at_limit, hidden
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.cascade import (
    JudgesCall,
    Planned,
    Run,
    SecondStage,
    during,
    may_be_answered_twice,
    readable,
    run_at_pick,
    run_of,
)
from rb_litellm.litellm_adapter.request.explanation import current_inquiry
from rb_litellm.litellm_adapter.request.pending import PendingRequest
from rb_litellm.litellm_adapter.request.prompt import read_uncounted
from rb_litellm.litellm_adapter.request.rights.caller import caller_of
from rb_litellm.litellm_adapter.request.rights.controls import given_to
from rb_litellm.litellm_adapter.worker import Worker, worker
from rb_litellm.telemetry.comparing.pairwise import text_of
from rb_litellm.telemetry.records.cascade import HIDDEN, CascadeReport

_NOT_SENT = ("litellm_logging_obj", "litellm_call_id")
_OF_REQUEST = ("litellm_session_id", "litellm_trace_id", "user")
"""What of a request its judge's call has, too."""


class Cascades:
    """Of one selector: its judge, and the runs that its picks decide on."""

    def __init__(self, router: Any, settings: CascadeSettings, worker: Worker) -> None:
        self._router = router
        self._settings = settings
        self._worker = worker
        self._runtime = worker.runtime
        self._judge = Judge(router, settings, worker)
        self._runtime.cascades = True

    def offered(
        self, plan: Plan, arrival: Arrival, prompt: Prompt, messages: Any, kwargs: Mapping[str, Any] | None
    ) -> tuple[CascadeRule | None, Run | None]:
        """By what this request may be answered twice, and who waits to know; None and None for once.

        To be asked in the request's own context. A loop of tool calls stays with who has begun it.
        """
        run = run_at_pick(arrival.call_id)
        if run is not None:
            run.planned, run.given = None, given_to(kwargs)
        if not plan.cascade or arrival.thread or not readable(prompt):
            return None, None
        if current_inquiry() is not None:
            asked = may_be_answered_twice({**(kwargs or {}), "messages": messages})
            return (self._judge.rule() if asked else None), None
        return (None, None) if run is None else (self._judge.rule(), run)

    def decided(self, pending: PendingRequest, placed: Assignment) -> None:
        """A request is placed: whoever waits for its answer is to know what follows."""
        compound = placed.decision.cascade
        if pending.run is None or compound is None:
            return
        pending.run.planned = Planned(
            self,
            placed.deployment,
            placed.deployments[compound.second],
            compound,
            placed.decision.prediction.quality,
            placed.decision.prediction.cost_usd,
            pending.arrival.budget_usd,
            pending.steered is not None,
        )

    async def follow(self, run: Run, planned: Planned, response: Any) -> Any:
        """The answer that the client gets, given the first one. Raises nothing but its own cancellation."""
        try:
            return await self._followed(run, planned, response)
        except Exception as error:  # noqa: BLE001  an answer is there
            self._runtime.failed("cascade", error)
            return response

    async def _followed(self, run: Run, planned: Planned, response: Any) -> Any:
        told = hidden(response)
        text = text_of(response)
        if told("model_id") != planned.first.id or told("cache_hit") or not text or ended_at_limit(response):
            # Somebody else has answered, or a cache, or there is nothing to judge.
            self._settle(run, planned, _usd(response))
            return response
        # Its server is free again, whatever takes how long from now on.
        await self._worker.callbacks.async_post_call_success_hook(
            {"litellm_call_id": run.call_id}, None, response
        )
        spent = _usd(response)
        report = CascadeReport("kept", run.call_id)
        answer = response
        poor, judge_usd = await self._poor(run, planned, text, spent, report)
        spent += judge_usd
        if poor:
            second, second_usd = await self._second(run, planned, spent, report)
            spent += second_usd
            answer = response if second is None else second
        report.usd = spent
        self._settle(run, planned, spent)
        self._runtime.recorder.cascaded(planned.first.group, planned.second.group, report.became)
        kept = getattr(answer, "_hidden_params", None)
        if isinstance(kept, dict):
            kept[HIDDEN] = report
        return answer

    async def _poor(
        self, run: Run, planned: Planned, text: str, spent: float, report: CascadeReport
    ) -> tuple[bool, float]:
        """Whether the judge calls the answer poor, and what it cost to ask."""
        prompt = read_uncounted(run.kwargs.get("messages"), None, run.kwargs)
        messages = self._judge.messages(prompt.text, text)
        most_usd = self._judge.most_usd(messages)
        if most_usd is None:
            report.became = "unjudged"
            return False, 0.0
        if planned.max_cost_usd is not None and spent + most_usd > planned.max_cost_usd:
            report.became = "over-budget"
            return False, 0.0

        async def ask(body: dict[str, Any], timeout_s: float) -> Any:
            of_request = {name: run.kwargs[name] for name in _OF_REQUEST if run.kwargs.get(name) is not None}
            return await self._call(run, JudgesCall(str(uuid.uuid4())), {**of_request, **body}, timeout_s)

        hurried = _own_limit(run.kwargs) < self._settings.judge.timeout_s
        found = await self._judge.accepts(ask, messages, run.call_id, planned.first_quality, hurried)
        if found is None:
            report.became = "judge-failed"
            return False, 0.0
        accepted, reply = found
        return not accepted, _usd(reply)

    async def _second(
        self, run: Run, planned: Planned, spent: float, report: CascadeReport
    ) -> tuple[Any, float]:
        """The second model's answer and its cost; None where the first one has to do."""
        second_usd = (planned.compound.cost_usd - planned.first_usd) / max(planned.compound.escalated, 1e-3)
        if not affords(caller_of(run.kwargs), spent + second_usd):
            report.became = "over-budget"
            return None, 0.0
        call_id = str(uuid.uuid4())
        stage = SecondStage(call_id, planned.second, run.given, spent, run.started_s)
        asked = {name: value for name, value in run.kwargs.items() if name not in _NOT_SENT}
        # LiteLLM's cache would give the first answer once more; the second one may take its place there.
        cache = asked.get("cache")
        asked["cache"] = {**(cache if isinstance(cache, Mapping) else {}), "no-cache": True}
        try:
            answer = await self._call(run, stage, asked, self._settings.timeout_s)
            if not text_of(answer):
                raise ValueError("the second model gave no text")
        except Exception as error:  # noqa: BLE001  the client has its answer
            report.became = "second-failed"
            self._runtime.failed("cascade second stage", error)
            return None, 0.0
        report.became, report.call_id = "escalated", call_id
        self._runtime.second_answers.given(run.call_id, call_id)
        self._runtime.learning.same_answer(run.call_id, call_id)
        return answer, _usd(answer)

    async def _call(
        self,
        run: Run,
        stage: SecondStage | JudgesCall,
        asked: Mapping[str, Any],
        timeout_s: float,
    ) -> Any:
        """One further call of the Router on behalf of the request, within a time."""
        metadata = host.current().subcall_metadata(run.kwargs.get("metadata") or {})
        kwargs = {
            **asked,
            "metadata": metadata,
            "litellm_call_id": stage.call_id,
            "disable_fallbacks": True,
            "timeout": min(timeout_s, _own_limit(run.kwargs)),
        }
        if isinstance(other := run.kwargs.get("litellm_metadata"), Mapping):
            kwargs["litellm_metadata"] = host.current().subcall_metadata(other)
        with during(stage):
            # A task of its own, whose end tells the ledger that the attempt is over, also where time is.
            return await asyncio.wait_for(
                asyncio.ensure_future(self._router.acompletion(**kwargs)), timeout_s
            )

    def _settle(self, run: Run, planned: Planned, usd: float) -> None:
        if planned.targeted:
            self._runtime.targets.cascaded(run.call_id, usd, time.monotonic() - run.started_s)


async def followed_up(original: Callable[..., Awaitable[Any]], _: Any, *args: Any, **kwargs: Any) -> Any:
    """Stands around the Router's chat completions: what a pick has decided to follow an answer follows."""
    run = run_of(kwargs) if not args and worker().runtime.cascades else None
    if run is None:
        return await original(*args, **kwargs)
    with during(run):
        response = await original(**kwargs)
    planned = run.planned
    if planned is None or not isinstance(planned.decider, Cascades):
        return response
    return await planned.decider.follow(run, planned, response)


def affords(caller: Any, usd: float) -> bool:
    """Whether the budgets of the caller's key and team pay for so much more, by what LiteLLM said of them."""
    for most, spent in (("max_budget", "spend"), ("team_max_budget", "team_spend")):
        budget, before = getattr(caller, most, None), getattr(caller, spent, None)
        if isinstance(budget, (int, float)) and (before or 0.0) + usd > budget:
            return False
    return True


def _own_limit(kwargs: Mapping[str, Any]) -> float:
    """The time limit of the request itself, in s."""
    given = kwargs.get("timeout")
    return float(given) if isinstance(given, (int, float)) else math.inf


def _usd(response: Any) -> float:
    cost = hidden(response)("response_cost")
    return float(cost) if isinstance(cost, (int, float)) and math.isfinite(cost) else 0.0
