"""What is read of a request before its decision: its prompt, who may get it, and what counts for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rb_litellm.balancer import RoutingRequest
from rb_litellm.config import RouteBalanceSettings
from rb_litellm.controls import Level, Plan, Planner
from rb_litellm.core.limits.admission import Admission
from rb_litellm.core.limits.filters import Limits
from rb_litellm.core.targets.landing import landed
from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.further_answers.judged import Judged
from rb_litellm.litellm_adapter.request.agents import Agents
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.body.answer_kind import answers_in_text
from rb_litellm.litellm_adapter.request.body.google_api import GoogleMessages
from rb_litellm.litellm_adapter.request.body.prompt import counted, read_uncounted
from rb_litellm.litellm_adapter.request.budget import allowance_of, api_of, unclamp
from rb_litellm.litellm_adapter.request.efforts import OfferedLevels
from rb_litellm.litellm_adapter.request.retries import retries_left, untried
from rb_litellm.litellm_adapter.request.rights.caller import caller_of, owner_of, owner_of_key
from rb_litellm.litellm_adapter.request.rights.controls import given_to
from rb_litellm.litellm_adapter.request.rights.landing import landing
from rb_litellm.litellm_adapter.request.stages import ONCE, further_at_pick
from rb_litellm.litellm_adapter.request.waiting.pending import Entry, PendingRequest
from rb_litellm.litellm_adapter.shared.exchange.target_share import Steered, words
from rb_litellm.litellm_adapter.worker import Worker


class RequestReader:
    """Of one strategy instance."""

    def __init__(
        self,
        router: Any,
        settings: RouteBalanceSettings,
        worker: Worker,
        agents: Agents | None,
        judged: Judged | None,
    ) -> None:
        self.planner = Planner(settings)
        self.shows_others = settings.affinity is not None and settings.affinity.across == "all"
        """Whether a prompt that others sent counts as cached."""
        self._router = router
        self._affinity = None if settings.affinity is None else settings.affinity.rule()
        self._exploration = settings.exploration.rule()
        self._admission = settings.admission
        self._agents = agents
        self._judged = judged
        self._levels = OfferedLevels()
        self._runtime = worker.runtime
        self._accounting = worker.accounting

    def read(
        self,
        arrival: Arrival,
        healthy: Sequence[Entry],
        messages: Any,
        input: Any,
        request_kwargs: dict[str, Any] | None,
    ) -> PendingRequest:
        """All of one request but the tokens of its prompt, which `routing_requests` counts."""
        tried = self._accounting.tried(arrival.known_id)
        if tried and request_kwargs is not None:
            unclamp(request_kwargs)
        entries = untried(healthy, tried)
        prompt = self.owned(read_uncounted(messages, input, request_kwargs), request_kwargs)
        further = further_at_pick(request_kwargs)
        given = given_to(request_kwargs) if further is None else further.given
        plan = self.planner.plan(given)
        if further is not None:
            plan, arrival.before_s = further.held_to(plan), None
        candidates = tuple(self._runtime.catalog.facts(entries))
        if self._runtime.catalog.any_levels:
            entries, candidates = self._levels.of(
                entries, candidates, request_kwargs, prompt.max_tokens, plan.max_cost_usd
            )
            if further is not None:
                entries, candidates = further.at_its_level(entries, candidates)
        arrival.budget_usd = plan.max_cost_usd
        arrival.weights_from = plan.sources.get("weights", "settings")
        body = input if messages is None else messages
        steered = None if plan.targets is None else self._steered(plan, arrival, request_kwargs)
        objective = plan.objective if steered is None else self._runtime.targets.objective(steered)
        offer = ONCE
        if self._judged is not None:
            offer = self._judged.offered(
                plan, given, arrival, prompt, messages, request_kwargs, again=bool(tried)
            )
        runtime = self._runtime
        used = landing(
            plan, runtime.day_spend, runtime.minute_requests, arrival,
            lambda level: self._owner(level, arrival, request_kwargs),
        )  # fmt: skip
        return PendingRequest(
            prompt=prompt,
            candidates=candidates,
            objective=landed(objective, used.shifted),
            steered=steered,
            used=used,
            limits=self._limits(plan),
            allowance=None
            if plan.max_cost_usd is None
            else allowance_of(plan.max_cost_usd, prompt, body, request_kwargs or {}, api_of(messages, input)),
            entries=entries,
            arrival=arrival,
            request_kwargs=request_kwargs,
            messages=None if isinstance(messages, GoogleMessages) else messages,
            api=api_of(messages, input),
            in_text=answers_in_text(messages, input, request_kwargs),
            priority=plan.priority or 0,
            retries=retries_left(self._router, request_kwargs, tried),
            proxy_s=runtime.proxy_time.expected_for(arrival.before_s, again=bool(tried)),
            offer=offer,
            again=further is not None,
        )

    def routing_requests(self, batch: Sequence[PendingRequest]) -> list[RoutingRequest]:
        """The same as the balancer has them, with their tokens: many together cost less than each."""
        prompts = counted([pending.prompt for pending in batch])
        return [
            RoutingRequest(
                prompt,
                t.candidates,
                t.objective,
                t.limits_of(prompt),
                self._agents.rule if self._agents and t.arrival.thread else self._affinity,
                self._exploration,
                t.arrival.key_weights,
                t.arrival.thread,
                t.retries,
                t.proxy_s,
                t.offer.cascade,
                t.offer.best_of,
            )
            for t, prompt in zip(batch, prompts, strict=True)
        ]

    def owned(self, prompt: Prompt, request_kwargs: dict[str, Any] | None) -> Prompt:
        """The prompt as its caller's: what others sent, or call their sessions, has nothing to do with it."""
        if self._affinity is None and self._agents is None:
            return prompt
        if not (owner := owner_of(caller_of(request_kwargs))):
            return prompt
        session = prompt.session and f"{owner} {prompt.session}"
        return prompt._replace(owner="" if self.shows_others else owner, session=session)

    def _steered(self, plan: Plan, arrival: Arrival, request_kwargs: dict[str, Any] | None) -> Steered:
        assert plan.targets is not None
        level = plan.sources.get("targets")
        arrival.weights_from = f"targets of the {level or 'settings'}"
        owner = self._owner(level, arrival, request_kwargs)
        steered = self._runtime.targets.steered(plan.targets, owner)
        arrival.targets = words(self._runtime.targets.standing(steered))
        return steered

    @staticmethod
    def _owner(level: Level | None, arrival: Arrival, request_kwargs: dict[str, Any] | None) -> str:
        """Whose it is that a level has set: a key's, a team's, or that of the model name asked for."""
        if level is None:
            return arrival.requested
        caller = caller_of(request_kwargs)
        return f"{level} {owner_of_key(caller) if level == 'key' else owner_of(caller)}"

    def _limits(self, plan: Plan) -> Limits | None:
        if plan.slo is None and plan.max_cost_usd is None and self._admission is None:
            return None
        patience = None if self._admission is None else self._admission.wait_limit_s(plan.priority)
        return Limits(plan.slo, None, None if patience is None else Admission(patience))
