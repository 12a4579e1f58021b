"""Judged shadow evaluation on live traffic: what would have been chosen answers too, and a judge compares.

Off unless `shadow_evaluation` is set, and only in shadow mode. A sampled request that was answered is asked
again of the models that the settings' weights, and further ones, would have chosen; a judge compares each
answer, blind and in both orders, with the one that served. The client's answer is long given by then. The
calls go to LiteLLM beside its Router: they open nothing in the ledger, teach the latency model nothing, and
are bounded by a rate, a budget and MAX_OPEN. LiteLLM logs and pays them as calls of a user named MARK, with
that tag and no key, so that they stand in its spend and in nobody's budget; a request that LiteLLM was told
not to log is not evaluated. What they say is kept as verdicts, without prompts and answers.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from rb_litellm.balancing.candidates import model_info
from rb_litellm.config import ShadowEvaluationSettings
from rb_litellm.core.decision.scoring import Weights
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.lifecycle.usage import output_tokens
from rb_litellm.litellm_adapter.request.body.prompt import read_prompt
from rb_litellm.litellm_adapter.shared.exchange.daily_budget import Budget, FileBudget, FleetBudget
from rb_litellm.litellm_adapter.shared.proxy_server import current_router
from rb_litellm.litellm_adapter.worker import Worker
from rb_litellm.logs.kinds import MARK
from rb_litellm.logs.verdicts import Comparison, append_verdict
from rb_litellm.predictors.reading.tokens import estimate_tokens
from rb_litellm.state.exchange.redis.sums import RedisSums
from rb_litellm.telemetry.comparing.pairwise import (
    JUDGE_TOKENS,
    judge_messages,
    outcome,
    prompt_kind,
    read_verdict,
    request_text,
    text_of,
)
from rb_litellm.telemetry.records.decision import CandidateRecord, DecisionRecord

MAX_OPEN = 8
"""Evaluations of one worker at a time; what comes meanwhile is not sampled."""
TIMEOUT_S = 120.0
AS_SET = "weights"
"""The candidate that goes by the settings' own weights."""
_CHATS = ("acompletion", "completion")
_PASSED_ON = (
    "temperature", "top_p", "stop", "seed", "response_format", "presence_penalty", "frequency_penalty",
    "logit_bias", "tools", "tool_choice", "parallel_tool_calls",
)  # fmt: skip
_WON = {"win": 1.0, "tie": 0.5, "loss": 0.0}
_RESERVE = 1.5
"""Estimated input tokens are reserved so many times: other models count otherwise."""
_log = logging.getLogger("rb_litellm")
Ask = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str
    usd: float
    took_s: float
    input_tokens: int = 0


class UnpricedModel(Exception):
    """What a call costs is not known, so that no budget can hold it."""


class _NoMoney(Exception):
    """The day's budget does not hold what the next call may cost."""


class ShadowEvaluation(CustomLogger):  # type: ignore[misc]
    """One per worker: LiteLLM tells it of each success. `ask` stands in for LiteLLM in tests."""

    def __init__(
        self, worker: Worker, ask: Ask | None = None, router: Callable[[], Any] = current_router
    ) -> None:
        super().__init__()
        self._worker = worker
        self._runtime = worker.runtime
        self._ask = ask
        self._router = router
        self._sums: RedisSums | None = None
        self._open: set[asyncio.Task[None]] = set()

    def ensure_started(self) -> None:
        """Be among LiteLLM's callbacks while there is something to evaluate. Cheap."""
        import litellm

        if self._runtime.shadow_evaluation is not None and not any(one is self for one in litellm.callbacks):
            litellm.logging_callback_manager.add_litellm_callback(self)

    async def async_log_success_event(
        self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any
    ) -> None:
        """A call was answered: sample it. Never raises, never waits."""
        try:
            self._consider(kwargs, response_obj, (end_time - start_time).total_seconds())
        except Exception as error:  # noqa: BLE001  whoever only watches must not be in the way
            self._runtime.failed("shadow evaluation", error)

    def _consider(self, kwargs: Mapping[str, Any], response: Any, took_s: float) -> None:
        settings = self._runtime.shadow_evaluation
        if settings is None or len(self._open) >= MAX_OPEN or kwargs.get("call_type") not in _CHATS:
            return
        if self._runtime.random.random() >= settings.share or kwargs.get("cache_hit"):
            return
        record = self._worker.accounting.decision(kwargs.get("litellm_call_id"))
        body = _body(kwargs)
        if record is None or record.reason != "shadow" or record.would is None or not body.get("messages"):
            return
        tokens = output_tokens(response)
        if body.get("n", 1) != 1 or not tokens or tokens > settings.max_tokens or _unlogged(kwargs, body):
            return
        if not (text := text_of(response)):
            return
        served = _Answer(text, float(kwargs.get("response_cost") or 0.0), took_s, _input_tokens(response))
        work = _Evaluation(self, settings, record, body, served)
        task = asyncio.ensure_future(self._guarded(work))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _guarded(self, work: _Evaluation) -> None:
        try:
            await work.run()
        except _NoMoney:
            pass
        except Exception as error:  # noqa: BLE001  nobody waits for it
            self._runtime.failed("shadow evaluation", error)

    def budget(self, settings: ShadowEvaluationSettings) -> Budget:
        """The fleet's, where workers share a Redis; else the machine's."""
        redis = self._runtime.sharing.redis
        if redis is None:
            return FileBudget(Path(f"{settings.path}.budget"), settings.usd_per_day, settings.per_minute)
        if self._sums is None or self._sums.settings != redis:
            self._sums = RedisSums(redis)
        return FleetBudget(self._sums, "shadow_evaluation", settings.usd_per_day, settings.per_minute)

    async def settled(self) -> None:
        """Wait for what is under way."""
        while self._open:
            await asyncio.gather(*self._open)

    def entry(self, name: str, deployment: str | None = None) -> Mapping[str, Any]:
        """LiteLLM's entry of that deployment, or one of the model group.

        Raises:
            LookupError: there is none.
        """
        router = self._router()
        for entry in getattr(router, "model_list", None) or ():
            if (entry["model_info"]["id"] == deployment) if deployment else (entry["model_name"] == name):
                return dict(entry)
        raise LookupError(f"shadow_evaluation: the proxy has no model {name!r}")

    def facts(self, entry: Mapping[str, Any]) -> Deployment:
        """What is known of a deployment, its prices with it."""
        with self._runtime.lock:
            return self._runtime.catalog.facts([dict(entry)])[0]

    def check_priced(self, entry: Mapping[str, Any]) -> None:
        """Whether a budget can hold what a deployment's calls cost.

        Raises:
            UnpricedModel: its price is not known.
        """
        facts = self.facts(entry)
        if not math.isfinite(facts.input_usd_per_token + facts.output_usd_per_token):
            raise UnpricedModel(
                f"shadow_evaluation: no price is known for {facts.model} (model group {facts.group}), so no "
                "budget can hold its calls and nothing is evaluated by it; set input_cost_per_token and "
                "output_cost_per_token in its litellm_params, 0 for what is free"
            )

    def learn(self, call_id: str, candidate: CandidateRecord, found: str) -> None:
        """Tell the default predictor how the candidate's answer was judged against the one that served."""
        name = model_info(self.facts(self.entry(candidate["model"], candidate["deployment"]))).name
        self._runtime.learning.compare(call_id, name, candidate["quality"], _WON[found])

    async def ask(self, entry: Mapping[str, Any], messages: Sequence[Any], **params: Any) -> Any:
        """One call beside the Router, marked as nobody's traffic."""
        import litellm

        return await (self._ask or litellm.acompletion)(
            **{
                **entry["litellm_params"],
                **params,
                "messages": list(messages),
                "metadata": {
                    "tags": [MARK],
                    "user_api_key_user_id": MARK,
                    "model_info": {"id": MARK},
                    "model_group": MARK,
                },
                "num_retries": 0,
                "timeout": TIMEOUT_S,
                "drop_params": True,
                "caching": False,
            }
        )


class _Evaluation:
    """One request, evaluated."""

    def __init__(
        self,
        evaluator: ShadowEvaluation,
        settings: ShadowEvaluationSettings,
        record: DecisionRecord,
        body: Mapping[str, Any],
        served: _Answer,
    ) -> None:
        self._evaluator = evaluator
        self._settings = settings
        self._record = record
        self._body = body
        self._served = served
        self._budget = evaluator.budget(settings)
        self._prompt = read_prompt(body.get("messages"), None, body)

    async def run(self) -> None:
        """Ask each model once that some weighting would have chosen, judge it, and keep the verdicts."""
        chosen = choices(self._record, self._settings.candidates)
        self._evaluator.check_priced(self._evaluator.entry(self._settings.judge))
        for one in chosen.values():
            self._evaluator.check_priced(self._evaluator.entry(one["model"], one["deployment"]))
        if not await self._budget.begin():
            return
        by_model: dict[str, list[str]] = {}
        for name, candidate in chosen.items():
            by_model.setdefault(candidate["model"], []).append(name)
        for model, names in by_model.items():
            if model == self._record.model:
                await self._keep(names, model, "same", self._served, 0.0)
                continue
            answer = await self._answer(chosen[names[0]])
            found, judge_usd = await self._judged(answer)
            self._evaluator.learn(self._record.call_id, chosen[names[0]], found)
            await self._keep(names, model, found, answer, judge_usd)

    async def _answer(self, candidate: CandidateRecord) -> _Answer:
        entry = self._evaluator.entry(candidate["model"], candidate["deployment"])
        asked = self._body.get("max_completion_tokens") or self._body.get("max_tokens")
        limit = min(int(asked), self._settings.max_tokens) if asked else self._settings.max_tokens
        params = {name: self._body[name] for name in _PASSED_ON if self._body.get(name) is not None}
        started = time.monotonic()
        # The provider's own count, where the served answer tells it, is better than an estimate.
        tokens = max(self._prompt.input_tokens, self._served.input_tokens)
        response, usd = await self._paid(entry, self._body["messages"], tokens, limit, **params)
        text = text_of(response)
        if not text:
            raise ValueError(f"{candidate['deployment']} gave no text to compare")
        return _Answer(text, usd, time.monotonic() - started)

    async def _judged(self, answer: _Answer) -> tuple[Any, float]:
        entry = self._evaluator.entry(self._settings.judge)
        said, spent = [], 0.0
        for first, second in ((self._served.text, answer.text), (answer.text, self._served.text)):
            asked = request_text(self._prompt, self._body.get("tools"))
            messages = judge_messages(asked, first, second)
            tokens = sum(estimate_tokens(one["content"]) for one in messages)
            response, usd = await self._paid(entry, messages, tokens, JUDGE_TOKENS, temperature=0.0)
            said.append(read_verdict(text_of(response)))
            spent += usd
        return outcome(said[0], said[1]), spent

    async def _paid(
        self, entry: Mapping[str, Any], messages: Sequence[Any], tokens: int, limit: int, **params: Any
    ) -> tuple[Any, float]:
        """One call, its most reserved before and its price settled after."""
        facts = self._evaluator.facts(entry)
        most = facts.input_usd_per_token * (tokens * _RESERVE + 64) + facts.output_usd_per_token * limit
        if not await self._budget.reserve(most):
            raise _NoMoney
        # What a call that fails has cost nobody says: what was reserved for it stays spent.
        response = await self._evaluator.ask(entry, messages, max_tokens=limit, **params)
        usage = getattr(response, "usage", None)
        given = float(getattr(usage, "prompt_tokens", 0) or tokens)
        written = float(getattr(usage, "completion_tokens", 0) or 0)
        usd = facts.input_usd_per_token * given + facts.output_usd_per_token * written
        await self._budget.settle(most, usd)
        return response, usd

    async def _keep(
        self, names: Sequence[str], model: str, found: Any, answer: _Answer, judge_usd: float
    ) -> None:
        kind = prompt_kind(self._prompt, self._body.get("tools"))
        for name in names:
            one = Comparison(
                at_s=round(time.time(), 3),
                call_id=self._record.call_id,
                kind=kind,
                candidate=name,
                served=self._record.model,
                would=model,
                outcome=found,
                served_usd=self._served.usd,
                would_usd=answer.usd,
                served_s=round(self._served.took_s, 4),
                would_s=round(answer.took_s, 4),
                judge_usd=judge_usd / len(names),
            )
            await asyncio.to_thread(append_verdict, Path(self._settings.path), self._settings.max_bytes, one)


def choices(record: DecisionRecord, further: Mapping[str, Weights]) -> dict[str, CandidateRecord]:
    """What each weighting would have chosen, by the figures of the decision: the best of its candidates.

    The record holds the best candidates of each model; a further weighting chooses among those that no filter
    removed.
    """
    assert record.would is not None
    told = {AS_SET: record.would}
    there = [one for one in record.top if not one.get("failed")] or [record.would]
    slowest = max(one["e2e_s"] for one in there) or 1.0
    dearest = max(one["cost_usd"] for one in there) or 1.0
    for name, weights in further.items():

        def score(one: CandidateRecord, weights: Weights = weights) -> float:
            quick, cheap = 1.0 - one["e2e_s"] / slowest, 1.0 - one["cost_usd"] / dearest
            return weights.quality * one["quality"] + weights.latency * quick + weights.cost * cheap

        told[name] = max(there, key=score)
    return told


def _body(kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request as the client sent it to the proxy; empty elsewhere."""
    params = kwargs.get("litellm_params")
    request = params.get("proxy_server_request") if isinstance(params, Mapping) else None
    body = request.get("body") if isinstance(request, Mapping) else None
    return body if isinstance(body, Mapping) else {}


def _unlogged(kwargs: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Whether LiteLLM was told not to log the request."""
    params = kwargs.get("litellm_params")
    return bool(body.get("no-log") or (isinstance(params, Mapping) and params.get("no-log")))


def _input_tokens(response: Any) -> int:
    """As the provider counts them; 0 where it does not say."""
    usage = response.get("usage") if isinstance(response, Mapping) else getattr(response, "usage", None)
    told = usage.get("prompt_tokens") if isinstance(usage, Mapping) else getattr(usage, "prompt_tokens", None)
    return told if isinstance(told, int) else 0
