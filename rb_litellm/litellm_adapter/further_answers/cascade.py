"""A request answered in stages: the first answer judged, and another model asked where it is poor.

The pick of the first stage has decided for this, by the joint score. What follows here is two further calls
of LiteLLM's own Router, and our own pick chooses the second deployment by the load of that moment.

Whatever fails, the client has the first answer: a judge that errs or takes too long, a second model that
does, a budget that does not pay for more. A client that leaves cancels what is under way.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from rb_litellm.balancer import Assignment
from rb_litellm.config import CascadeSettings
from rb_litellm.core.cascade.candidate import Compound
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.further_answers.further_calls import FurtherCalls, own_limit, usd_of
from rb_litellm.litellm_adapter.further_answers.judge import Judge
from rb_litellm.litellm_adapter.further_answers.verdicts import accepts, judge_messages
from rb_litellm.litellm_adapter.lifecycle.usage import ended_at_limit, hidden
from rb_litellm.litellm_adapter.request.body.prompt import read_uncounted
from rb_litellm.litellm_adapter.request.rights.caller import caller_of
from rb_litellm.litellm_adapter.request.stages import Run, SecondStage
from rb_litellm.litellm_adapter.request.waiting.pending import PendingRequest
from rb_litellm.litellm_adapter.worker import Worker
from rb_litellm.telemetry.comparing.pairwise import text_of
from rb_litellm.telemetry.records.cascade import HIDDEN, CascadeReport

_NOT_SENT = ("litellm_logging_obj", "litellm_call_id")
_rule = lru_cache(maxsize=64)(CascadeRule)
"""Requests in a row have the same rule, and to make one takes longer than to find it."""


class Cascades:
    """Of one selector: its judge, and what its picks decide to follow."""

    def __init__(self, router: Any, settings: CascadeSettings, worker: Worker) -> None:
        self.settings = settings
        self.worker = worker
        self.judge = Judge(router, settings.judge, worker, "cascade")
        self.calls = FurtherCalls(router, worker.runtime.day_spend)

    def rule(self) -> CascadeRule | None:
        """By what cascades are priced now; None while the judge cannot be asked or has no known price."""
        if (deployment := self.judge.deployment) is None:
            return None
        right, wrong = self.judge.rates.rates()
        return _rule(
            right,
            wrong,
            self.settings.dependence,
            self.judge.verdict_s,
            self.judge.fixed_usd(deployment),
            deployment.input_usd_per_token,
            2.0 * self.judge.text_tokens,
        )

    def follow_up(
        self, run: Run, compound: Compound, pending: PendingRequest, placed: Assignment
    ) -> SecondAnswer:
        """What follows where this pair was chosen."""
        return SecondAnswer(
            self,
            run,
            placed.deployment,
            placed.deployments[compound.second],
            compound,
            placed.decision.prediction.quality,
            placed.decision.prediction.cost_usd,
            pending.arrival.budget_usd,
            pending.steered is not None,
        )


@dataclass(frozen=True, slots=True)
class SecondAnswer:
    """What the pick of the first stage has decided."""

    cascades: Cascades
    run: Run
    first: Deployment
    second: Deployment
    compound: Compound
    first_quality: float
    first_usd: float
    max_cost_usd: float | None
    targeted: bool
    """Whether targets wait for what it cost and took."""

    def without(self, error: BaseException) -> bool:
        """See `FollowUp`."""
        return False

    def alone_too(self, error: BaseException) -> None:
        """See `FollowUp`."""

    def given_up(self) -> None:
        """See `FollowUp`."""
        if self.targeted:
            self.cascades.worker.runtime.targets.judged(self.run.call_id, 0.0, None)

    async def follow(self, response: Any) -> Any:
        """See `FollowUp`."""
        try:
            return await self._followed(response)
        except Exception as error:  # noqa: BLE001  an answer is there
            self.cascades.worker.runtime.failed("cascade", error)
            self._settle(usd_of(response))
            return response
        except BaseException:
            # Its client has left; the first answer is paid for.
            if self.targeted:
                self.cascades.worker.runtime.targets.judged(self.run.call_id, usd_of(response), None)
            raise

    async def _followed(self, response: Any) -> Any:
        run, worker = self.run, self.cascades.worker
        told = hidden(response)
        text = text_of(response)
        spent = usd_of(response)
        if told("model_id") != self.first.id or told("cache_hit") or not text or ended_at_limit(response):
            # Somebody else has answered, or a cache, or there is nothing to judge.
            self._settle(spent)
            return response
        # Its server is free again, whatever takes how long from now on.
        await worker.callbacks.async_post_call_success_hook({"litellm_call_id": run.call_id}, None, response)
        report = CascadeReport("kept", run.call_id)
        answer = response
        poor, judge_usd = await self._poor(text, spent, report)
        spent += judge_usd
        if poor:
            second, second_usd = await self._second(spent, report)
            spent += second_usd
            answer = response if second is None else second
        report.usd = spent
        self._settle(spent)
        worker.runtime.recorder.cascaded(self.first.group, self.second.group, report.became)
        kept = getattr(answer, "_hidden_params", None)
        if isinstance(kept, dict):
            kept[HIDDEN] = report
        return answer

    async def _poor(self, text: str, spent: float, report: CascadeReport) -> tuple[bool, float]:
        """Whether the judge calls the answer poor, and what it cost to ask."""
        run, judge, runtime = self.run, self.cascades.judge, self.cascades.worker.runtime
        prompt = read_uncounted(run.kwargs.get("messages"), None, run.kwargs)
        messages = judge_messages(prompt.text, text, judge.settings.max_chars)
        most_usd = judge.most_usd(messages)
        if most_usd is None:
            report.became = "unjudged"
            return False, 0.0
        if self.max_cost_usd is not None and spent + most_usd > self.max_cost_usd:
            report.became = "over-budget"
            return False, 0.0
        hurried = own_limit(run.kwargs) < judge.settings.timeout_s
        found = await judge.word(partial(self.cascades.calls.ask_judge, run), messages, accepts, hurried)
        if found is None:
            report.became = "judge-failed"
            return False, 0.0
        accepted, reply = found
        with runtime.lock:
            runtime.judges.rates.judged(judge.rates, run.call_id, self.first_quality, accepted)
        return not accepted, usd_of(reply)

    async def _second(self, spent: float, report: CascadeReport) -> tuple[Any, float]:
        """The second model's answer and its cost; None where the first one has to do."""
        run, runtime = self.run, self.cascades.worker.runtime
        second_usd = (self.compound.cost_usd - self.first_usd) / max(self.compound.escalated, 1e-3)
        if not affords(caller_of(run.kwargs), spent + second_usd):
            report.became = "over-budget"
            return None, 0.0
        call_id = str(uuid.uuid4())
        stage = SecondStage(call_id, self.second, run.given, spent, run.started_s)
        asked = {name: value for name, value in run.kwargs.items() if name not in _NOT_SENT}
        # LiteLLM's cache would give the first answer once more; the second one may take its place there.
        cache = asked.get("cache")
        asked["cache"] = {**(cache if isinstance(cache, Mapping) else {}), "no-cache": True}
        try:
            answer = await self.cascades.calls.make(run, stage, asked, self.cascades.settings.timeout_s)
            if not text_of(answer):
                raise ValueError("the second model gave no text")
        except Exception as error:  # noqa: BLE001  the client has its answer
            report.became = "second-failed"
            runtime.failed("cascade second stage", error)
            return None, 0.0
        report.became, report.call_id = "escalated", call_id
        runtime.second_answers.given(run.call_id, call_id)
        runtime.learning.same_answer(run.call_id, call_id)
        return answer, usd_of(answer)

    def _settle(self, usd: float) -> None:
        if self.targeted:
            self.cascades.worker.runtime.targets.judged(self.run.call_id, usd, self.run.lasts_s)


def affords(caller: Any, usd: float) -> bool:
    """Whether the budgets of the caller's key and team pay for so much more, by what LiteLLM said of them."""
    for most, spent in (("max_budget", "spend"), ("team_max_budget", "team_spend")):
        budget, before = getattr(caller, most, None), getattr(caller, spent, None)
        if isinstance(budget, (int, float)) and (before or 0.0) + usd > budget:
            return False
    return True
