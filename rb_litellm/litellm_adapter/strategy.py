"""The selector that LiteLLM asks for a deployment: a request in, the jointly best deployment out.

Whatever fails in here, the request is still routed: to the healthy deployment with the fewest open
attempts. The only exceptions that may reach a client are LiteLLM's own refusal under
`member_access: key`, and a refusal by limits that the request or the operator has set.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from rb_litellm.balancer import Assignment
from rb_litellm.config import RouteBalanceSettings
from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.litellm_adapter.fallback import fewest_open, is_look, looked_up
from rb_litellm.litellm_adapter.further_answers.judged import Judged
from rb_litellm.litellm_adapter.held import Hold
from rb_litellm.litellm_adapter.reader import RequestReader
from rb_litellm.litellm_adapter.request.agents import Agents
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.body.google_api import google_messages
from rb_litellm.litellm_adapter.request.explanation import current_inquiry, explanation
from rb_litellm.litellm_adapter.request.refusals import error_for, error_of_hold
from rb_litellm.litellm_adapter.request.rights.access import permitted
from rb_litellm.litellm_adapter.request.rights.caller import caller_of, is_admin
from rb_litellm.litellm_adapter.request.rights.controls import given_to
from rb_litellm.litellm_adapter.request.rights.key_weights import of_key
from rb_litellm.litellm_adapter.request.stages import further_at_pick
from rb_litellm.litellm_adapter.request.waiting.holding import HoldEnded
from rb_litellm.litellm_adapter.request.waiting.micro_batch import MicroBatcher
from rb_litellm.litellm_adapter.request.waiting.pending import Entry, PendingRequest, held_to_budget
from rb_litellm.litellm_adapter.shared.exchange.target_share import WHOLE, Steered
from rb_litellm.litellm_adapter.worker import Worker
from rb_litellm.predictors.registry import PredictionSource

_Asked = tuple[Arrival, Sequence[Entry], Any, Any, dict[str, Any] | None]
"""A request as it comes: its arrival, the healthy deployments, messages, input and keyword arguments."""


class RouteBalanceSelector(CustomLogger):  # type: ignore[misc]
    """One strategy instance: a router's own, or a routing group's with settings of its own.

    Where a key or team brings its own `routing_strategy`, LiteLLM treats the selector as one of its
    callbacks too; there is nothing to do for it there.
    """

    def __init__(
        self, router: Any, settings: RouteBalanceSettings, predictions: PredictionSource, worker: Worker
    ) -> None:
        super().__init__()
        self._router = router
        self.settings = settings
        self._agents = None if settings.agents is None else Agents(settings.agents, worker.runtime)
        self._predictions = predictions
        self._worker = worker
        self._runtime = worker.runtime
        self._accounting = worker.accounting
        judges = settings.cascade is not None or settings.best_of is not None
        self._judged = Judged(router, settings, worker) if judges else None
        self._reader = RequestReader(router, settings, worker, self._agents, self._judged)
        self.planner = self._reader.planner
        self._batcher: MicroBatcher[_Asked, PendingRequest, Entry | Refusal] = MicroBatcher(
            lambda asked: self._reader.read(*asked), self._decide
        )
        self._hold = None if settings.hold is None else Hold(router, settings.hold, worker)

    async def select(
        self,
        model: str | None,
        healthy: Sequence[Entry],
        messages: Any = None,
        input: Any = None,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Entry:
        """The deployment for one request, out of those that LiteLLM's filters left.

        Raises:
            ProxyException: under `member_access: key`, when the caller may call no member.
            RateLimitError, ServiceUnavailableError, BadRequestError: no deployment keeps the request's own
                limits, or admission control refuses it.
        """
        if is_look(messages, input, request_kwargs):
            return looked_up(self._worker, healthy)
        messages = google_messages(messages, input, request_kwargs) or messages
        arrival = Arrival.now(model, request_kwargs)
        if self.settings.member_access == "key":
            healthy = await permitted(self._router, model, healthy, request_kwargs)
        healthy, arrival.key_weights = of_key(healthy, model, request_kwargs)
        if (further := further_at_pick(request_kwargs)) is not None:
            healthy = further.narrowed(healthy)
        if self._agents is not None:
            body = input if messages is None else messages
            healthy = self._agents.narrowed(arrival, healthy, body, request_kwargs)
        if (asked := current_inquiry()) is not None:
            asked.answer = await self._explained(arrival, healthy, messages, input, request_kwargs)
            return healthy[0]
        try:
            self._worker.keep_started()
            arrival.call_id = self._accounting.call_id(request_kwargs)
            placed = await self._placed((arrival, healthy, messages, input, request_kwargs))
        except Exception as error:  # noqa: BLE001  the request is routed all the same
            placed = fewest_open(self._worker, arrival, healthy, error)
        return self._entry(placed, arrival, request_kwargs)

    def select_now(
        self,
        model: str | None,
        healthy: Sequence[Entry],
        messages: Any = None,
        input: Any = None,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Entry:
        """The same for LiteLLM's synchronous calls; `member_access` has no caller to check there."""
        if is_look(messages, input, request_kwargs):
            return looked_up(self._worker, healthy)
        messages = google_messages(messages, input, request_kwargs) or messages
        arrival = Arrival.now(model, request_kwargs)
        healthy, arrival.key_weights = of_key(healthy, model, request_kwargs)
        if self._agents is not None:
            body = input if messages is None else messages
            healthy = self._agents.narrowed(arrival, healthy, body, request_kwargs)
        try:
            arrival.call_id = self._accounting.call_id(request_kwargs)
            (placed,) = self._decide([self._reader.read(arrival, healthy, messages, input, request_kwargs)])
        except Exception as error:  # noqa: BLE001  the request is routed all the same
            placed = fewest_open(self._worker, arrival, healthy, error)
        return self._entry(placed, arrival, request_kwargs)

    def watch(
        self,
        chosen: Entry,
        model: str | None,
        healthy: Sequence[Entry],
        messages: Any = None,
        input: Any = None,
        request_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Shadow mode: LiteLLM's own strategy has chosen; record what would have been chosen here.

        Nothing of the request is changed. Never raises.
        """
        if is_look(messages, input, request_kwargs):
            return
        messages = google_messages(messages, input, request_kwargs) or messages
        arrival = Arrival.now(model, request_kwargs)
        try:
            self._worker.ensure_started()
            arrival.call_id = self._accounting.call_id(request_kwargs)
            left, arrival.key_weights = of_key(healthy, model, request_kwargs)
            # The strategy that has chosen may not go by a key's weights.
            healthy = left if any(entry is chosen for entry in left) else healthy
            (request,) = self._reader.routing_requests(
                [self._reader.read(arrival, healthy, messages, input, request_kwargs)]
            )
            (facts,) = self._runtime.catalog.facts([chosen])
            predictions = self._predictions.as_now()
            with self._runtime.lock:
                now = self._runtime.clock()
                theirs, ours = self._runtime.balancer.record_shadow(
                    replace(request, candidates=tuple(self._runtime.catalog.facts(healthy))),
                    facts,
                    predictions,
                    now,
                )
                self._accounting.open_attempt(arrival, theirs, predictions.version, now, ours)
            self._accounting.publisher.tell_litellm(arrival, request_kwargs)
        except Exception as error:  # noqa: BLE001  whoever only watches must not be in the way
            self._runtime.failed("shadow", error)

    async def _placed(self, asked: _Asked) -> Entry | Refusal | HoldEnded:
        hold = self._hold
        if hold is None:
            return await self._batcher.submit(asked)
        arrival, refused = asked[0], None
        if not (hold.others_wait(arrival) and self._reader.read(*asked).admitted):
            placed = await self._batcher.submit(asked)
            if not (isinstance(placed, Refusal) and hold.helps(placed)):
                return placed
            refused = placed
        try:
            return await hold.until_placed(self._reader.read(*asked), self._decide, refused)
        except Exception as error:  # noqa: BLE001  as without it
            self._runtime.failed("hold", error)
        return await self._batcher.submit(asked) if refused is None else refused

    def _entry(
        self,
        placed: Entry | Refusal | HoldEnded,
        arrival: Arrival,
        request_kwargs: dict[str, Any] | None,
    ) -> Entry:
        if isinstance(placed, Refusal):
            self._runtime.refused(placed.reason)
            raise error_for(placed, arrival.requested)
        if isinstance(placed, HoldEnded):
            self._runtime.refused("hold")
            if placed.error is not None:
                raise placed.error
            raise error_of_hold(placed, arrival.requested)
        self._accounting.publisher.tell_litellm(arrival, request_kwargs)
        return placed

    async def _explained(
        self,
        arrival: Arrival,
        healthy: Sequence[Entry],
        messages: Any,
        input: Any,
        request_kwargs: dict[str, Any] | None,
    ) -> dict[str, Any]:
        # Nobody waits for it but who asked: the loop goes round between its parts.
        await asyncio.sleep(0)
        arrival.call_id = self._accounting.call_id(request_kwargs)
        pending = self._reader.read(arrival, healthy, messages, input, request_kwargs)
        (request,) = self._reader.routing_requests([pending])
        await asyncio.sleep(0)
        if self._reader.shows_others and not is_admin(caller_of(request_kwargs)):
            request = replace(request, affinity=None)
        predictions = self._predictions.as_now()
        with self._runtime.lock:
            now = self._runtime.clock()
            placed, deployments, taken = self._runtime.balancer.preview(request, predictions, now)
        if isinstance(placed, Assignment):
            held_to_budget(pending, placed, self._runtime.catalog)
        await asyncio.sleep(0)
        return {
            **explanation(
                placed, deployments, taken, self.planner.plan(given_to(request_kwargs)), arrival.max_tokens
            ),
            **({} if pending.steered is None else {"targets": self._targets_told(pending.steered)}),
            "proxy_s": self._runtime.proxy_time.shown,
            "predictor": predictions.version,
            "state_age_s": self._runtime.sharing.age_s(now),
        }

    def _targets_told(self, steered: Steered) -> dict[str, Any]:
        standing = self._runtime.targets.standing(steered)
        return {name: stands._asdict() for name, stands in standing.items()}

    def _decide(self, batch: list[PendingRequest]) -> list[Entry | Refusal]:
        requests = self._reader.routing_requests(batch)
        predictions = self._predictions.as_now()
        with self._runtime.lock:
            now = self._runtime.clock()
            placed = self._runtime.balancer.decide(requests, predictions, now)
            return [
                self._open(pending, p, predictions.version, now)
                for pending, p in zip(batch, placed, strict=True)
            ]

    def _open(
        self, pending: PendingRequest, placed: Assignment | Refusal, predictor: str | None, now: float
    ) -> Entry | Refusal:
        if isinstance(placed, Refusal):
            return placed
        chosen = held_to_budget(pending, placed, self._runtime.catalog)
        attempt = self._accounting.open_attempt(pending.arrival, placed, predictor, now)
        if self._agents is not None:
            self._agents.sent(pending.arrival, chosen, now)
        if (spender := pending.used.spender) is not None:
            self._runtime.day_spend.sent(spender, pending.arrival.known_id, attempt)
        # A request that is tried again is one request.
        if (asker := pending.used.asker) is not None and attempt == 0 and not pending.again:
            self._runtime.minute_requests.add(asker, 1.0)
        judged = self._judged is not None and self._judged.decided(pending, placed)
        if pending.steered is not None and not pending.again:
            told, waited_s = attempt, pending.arrival.waited_s
            if judged and (run := pending.offer.run) is not None:
                # All of its calls are timed together, from the Router's first one on.
                told, waited_s = WHOLE, max(waited_s - run.lasts_s, 0.0)
            self._runtime.targets.decided(
                pending.steered, pending.arrival.known_id, told, placed.decision, waited_s
            )
        return chosen
