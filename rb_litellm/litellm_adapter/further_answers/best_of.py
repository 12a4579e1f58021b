"""A request that one model answers several times in one call: a judge picks the answer of its client.

The request's pick has decided for this, by the joint score. What follows its call here is one further call of
LiteLLM's own Router, the judge's. Whatever fails, the client has the first answer that can be used, and never
more than one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from rb_litellm.balancer import Assignment
from rb_litellm.config import BestOfSettings
from rb_litellm.core.best_of.candidate import Samples
from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.fleet import Deployment
from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.further_answers.choices import answers_of, only, shown_to_judge
from rb_litellm.litellm_adapter.further_answers.further_calls import FurtherCalls, own_limit, usd_of
from rb_litellm.litellm_adapter.further_answers.judge import Judge
from rb_litellm.litellm_adapter.further_answers.verdicts import best, best_messages
from rb_litellm.litellm_adapter.lifecycle.usage import hidden
from rb_litellm.litellm_adapter.request.body.prompt import read_uncounted
from rb_litellm.litellm_adapter.request.stages import Run
from rb_litellm.litellm_adapter.request.waiting.pending import PendingRequest
from rb_litellm.litellm_adapter.shared.entries.several_answers import answers_differ, refuses_several
from rb_litellm.litellm_adapter.worker import Worker
from rb_litellm.telemetry.comparing.pairwise import text_of
from rb_litellm.telemetry.records.best_of import BestOfReport
from rb_litellm.telemetry.records.cascade import HIDDEN

_SMOOTH = 0.02
_LEAST_SPREAD, _MOST_SPREAD = 0.05, 1.0
_rule = lru_cache(maxsize=64)(BestOfRule)
"""Requests in a row have the same rule, and to make one takes longer than to find it."""


class BestOf:
    """Of one selector: its judge, how lengths differ, and what its picks decide to follow."""

    def __init__(self, router: Any, settings: BestOfSettings, worker: Worker) -> None:
        self.settings = settings
        self.worker = worker
        self.judge = Judge(router, settings.judge, worker, "best_of")
        self.calls = FurtherCalls(router, worker.runtime.day_spend)
        self._router = router
        self._variance = settings.length_spread**2

    def rule(self, asked: Mapping[str, Any], prompt: Prompt) -> BestOfRule | None:
        """By what several answers to this request are priced now; None where it may not have them, or while
        the judge cannot be asked or has no known price."""
        # What a proxy sets for all requests is in none of them yet.
        usual = getattr(self._router, "default_litellm_params", None) or {}
        if not answers_differ({**usual, **asked}) or (deployment := self.judge.deployment) is None:
            return None
        right, wrong = self.judge.rates.rates()
        runtime = self.worker.runtime
        return _rule(
            self.judge.discernment.share(max(right - wrong, 0.0)),
            self.settings.correlation,
            math.sqrt(self._variance),
            tuple(range(2, self.settings.answers + 1)),
            self.judge.verdict_s,
            self.judge.fixed_usd(deployment),
            deployment.input_usd_per_token,
            self.judge.text_tokens,
            math.inf if prompt.max_tokens is None else float(prompt.max_tokens),
            runtime.refused_answers.lately(runtime.clock()),
        )

    def follow_up(self, run: Run, samples: Samples, pending: PendingRequest, placed: Assignment) -> Pick:
        """What follows where so many answers were chosen."""
        return Pick(
            self, run, placed.deployment, samples, pending.arrival.budget_usd, pending.steered is not None
        )

    def seen(self, texts: Sequence[str]) -> None:
        """Learn how much the lengths of answers to one prompt differ."""
        logs = [math.log(len(text)) for text in texts]
        mean = sum(logs) / len(logs)
        variance = sum((one - mean) ** 2 for one in logs) / (len(logs) - 1)
        found = self._variance + _SMOOTH * (min(variance, _MOST_SPREAD**2) - self._variance)
        self._variance = max(found, _LEAST_SPREAD**2)


@dataclass(frozen=True, slots=True)
class Pick:
    """What the request's pick has decided."""

    best_of: BestOf
    run: Run
    deployment: Deployment
    samples: Samples
    max_cost_usd: float | None
    targeted: bool
    """Whether targets wait for what it cost and took."""

    def without(self, error: BaseException) -> bool:
        """See `FollowUp`: some servers refuse to give several answers."""
        return refuses_several(error)

    def alone_too(self, error: BaseException) -> None:
        """See `FollowUp`: what nobody answers was not refused for being several."""
        if refuses_several(error):
            runtime = self.best_of.worker.runtime
            runtime.guarded(lambda: runtime.refused_answers.forgive(self.deployment.id))

    def given_up(self) -> None:
        """See `FollowUp`."""
        if self.targeted:
            self.best_of.worker.runtime.targets.judged(self.run.call_id, 0.0, None)

    async def follow(self, response: Any) -> Any:
        """See `FollowUp`."""
        try:
            return await self._followed(response)
        except Exception as error:  # noqa: BLE001  an answer is there
            self.best_of.worker.runtime.failed("best of", error)
            self._settle(usd_of(response))
            return response
        except BaseException:
            # Its client has left; the answers are paid for.
            if self.targeted:
                self.best_of.worker.runtime.targets.judged(self.run.call_id, usd_of(response), None)
            raise

    async def _followed(self, response: Any) -> Any:
        run, worker = self.run, self.best_of.worker
        choices, spent = answers_of(response), usd_of(response)
        if len(choices) < 2:
            # Somebody else has answered, or its server takes no notice of `n`.
            told = hidden(response)
            if told("model_id") == self.deployment.id and not told("cache_hit"):
                runtime = worker.runtime
                runtime.guarded(lambda: runtime.refused_answers.note(self.deployment.id, runtime.clock()))
            self._settle(spent)
            return response
        # Its server is free again, whatever takes how long from now on.
        await worker.callbacks.async_post_call_success_hook({"litellm_call_id": run.call_id}, None, response)
        report = BestOfReport("agreed", run.call_id, len(choices))
        shown = shown_to_judge(choices)
        texts = [text_of({"choices": [choices[number]]}) for number in shown]
        if len(texts) > 1:
            self.best_of.seen(texts)
        picked = 0
        if len({text.strip() for text in texts}) > 1:
            picked, judge_usd = await self._picked(texts, spent, report)
            spent += judge_usd
        report.usd = spent
        self._settle(spent)
        # A server may give more than it was asked for: labels stay few.
        came = min(len(choices), self.samples.n)
        worker.runtime.recorder.answered_several(self.deployment.group, came, report.became)
        answer = only(response, shown[picked] if shown else 0)
        kept = getattr(answer, "_hidden_params", None)
        if isinstance(kept, dict):
            kept[HIDDEN] = report
        return answer

    async def _picked(self, texts: Sequence[str], spent: float, report: BestOfReport) -> tuple[int, float]:
        """Which of the answers the judge picks, and what it cost to ask; the first where it cannot say."""
        run, its = self.run, self.best_of
        judge, runtime = its.judge, its.worker.runtime
        prompt = read_uncounted(run.kwargs.get("messages"), None, run.kwargs)
        messages = best_messages(prompt.text, texts, judge.settings.max_chars)
        most_usd = judge.most_usd(messages)
        if most_usd is None:
            report.became = "unjudged"
            return 0, 0.0
        if self.max_cost_usd is not None and spent + most_usd > self.max_cost_usd:
            report.became = "over-budget"
            return 0, 0.0
        hurried = own_limit(run.kwargs) < judge.settings.timeout_s
        read = partial(best, answers=len(texts))
        found = await judge.word(partial(its.calls.ask_judge, run), messages, read, hurried)
        if found is None:
            report.became = "judge-failed"
            return 0, 0.0
        report.became = "picked"
        picked, reply = found
        with runtime.lock:
            runtime.judges.picks.picked(
                judge.discernment, run.call_id, self.samples.one, self.samples.any_right
            )
        return picked, usd_of(reply)

    def _settle(self, usd: float) -> None:
        if self.targeted:
            self.best_of.worker.runtime.targets.judged(self.run.call_id, usd, self.run.lasts_s)
