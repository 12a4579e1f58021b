"""The selector that LiteLLM asks for a deployment: a request in, the jointly best deployment out.

Whatever fails in here, the request is still routed: to the healthy deployment with the fewest open
attempts. The only exception that may reach a client is LiteLLM's own refusal under
`member_access: key`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from rb_litellm.balancer import Ask, Assignment
from rb_litellm.config import RouteBalanceSettings, parse_settings
from rb_litellm.core.scoring import JointScore
from rb_litellm.litellm_adapter.access import permitted
from rb_litellm.litellm_adapter.arrival import Arrival
from rb_litellm.litellm_adapter.desk import Desk
from rb_litellm.litellm_adapter.prompts import read_prompt
from rb_litellm.litellm_adapter.runtime import Runtime, runtime
from rb_litellm.predictors.registry import PredictionSource

_log = logging.getLogger("rb_litellm")

Entry = dict[str, Any]
"""One deployment as LiteLLM holds it: model_name, litellm_params, model_info."""


@dataclass(frozen=True, slots=True)
class _Ticket:
    ask: Ask
    entries: Sequence[Entry]
    arrival: Arrival


class RouteBalanceSelector(CustomLogger):  # type: ignore[misc]
    """One strategy instance: a router's own, or a routing group's with settings of its own.

    Where a key or team brings its own `routing_strategy`, LiteLLM treats the selector as one of its
    callbacks too; there is nothing to do for it there.
    """

    def __init__(
        self, router: Any, settings: RouteBalanceSettings, predictions: PredictionSource, shared: Runtime
    ) -> None:
        super().__init__()
        self._router = router
        self.settings = settings
        self._objective = JointScore(settings.weights, settings.quality_norm)
        self._predictions = predictions
        self._shared = shared
        self._desk: Desk[_Ticket, Entry] = Desk(self._decide)

    async def select(
        self,
        model: str,
        healthy: Sequence[Entry],
        messages: Any = None,
        input: Any = None,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Entry:
        """The deployment for one request, out of those that LiteLLM's filters left.

        Raises:
            ProxyException: under `member_access: key`, when the caller may call no member.
        """
        arrival = Arrival.now(model, request_kwargs)
        if self.settings.member_access == "key":
            healthy = await permitted(self._router, model, healthy, request_kwargs)
        try:
            self._shared.ensure_started()
            arrival.call_id = self._shared.call_id(request_kwargs)
            chosen = await self._desk.submit(self._ticket(arrival, healthy, messages, input, request_kwargs))
        except Exception as error:  # noqa: BLE001  the request is routed all the same
            chosen = self._shared.fewest_open(arrival, healthy, error)
        self._shared.tell_litellm(arrival, request_kwargs)
        return chosen

    def select_now(
        self,
        model: str,
        healthy: Sequence[Entry],
        messages: Any = None,
        input: Any = None,
        request_kwargs: dict[str, Any] | None = None,
    ) -> Entry:
        """The same for LiteLLM's synchronous calls; `member_access` has no caller to check there."""
        arrival = Arrival.now(model, request_kwargs)
        try:
            arrival.call_id = self._shared.call_id(request_kwargs)
            chosen = self._decide([self._ticket(arrival, healthy, messages, input, request_kwargs)])[0]
        except Exception as error:  # noqa: BLE001  the request is routed all the same
            chosen = self._shared.fewest_open(arrival, healthy, error)
        self._shared.tell_litellm(arrival, request_kwargs)
        return chosen

    def _ticket(
        self,
        arrival: Arrival,
        healthy: Sequence[Entry],
        messages: Any,
        input: Any,
        request_kwargs: Mapping[str, Any] | None,
    ) -> _Ticket:
        entries = self._untried(healthy, arrival.known_id)
        return _Ticket(
            ask=Ask(
                prompt=read_prompt(messages, input, request_kwargs),
                candidates=tuple(self._shared.catalog.facts(entries)),
                objective=self._objective,
            ),
            entries=entries,
            arrival=arrival,
        )

    def _untried(self, healthy: Sequence[Entry], call_id: str) -> Sequence[Entry]:
        """A retry stays away from deployments that this call has failed on while there are others."""
        tried = self._shared.tried(call_id)
        if not tried:
            return healthy
        return [entry for entry in healthy if entry["model_info"]["id"] not in tried] or healthy

    def _decide(self, tickets: list[_Ticket]) -> list[Entry]:
        with self._shared.lock:
            now = self._shared.clock()
            assignments = self._shared.balancer.decide([t.ask for t in tickets], self._predictions, now)
            return [self._open(ticket, a, now) for ticket, a in zip(tickets, assignments, strict=True)]

    def _open(self, ticket: _Ticket, assignment: Assignment, now: float) -> Entry:
        chosen = ticket.entries[ticket.ask.candidates.index(assignment.deployment)]
        self._shared.open_attempt(ticket.arrival, ticket.ask, assignment, self._predictions.version, now)
        return chosen


def build_selector(router: Any, args: Mapping[str, Any] | None) -> RouteBalanceSelector:
    """The selector for a router or routing group with these `routing_strategy_args`.

    Raises:
        SettingsError: a setting is wrong.
        PredictorError: the predictor folder is missing, corrupt or of another version.
    """
    settings = parse_settings(args, "routing_strategy_args")
    shared = runtime()
    shared.catalog.check(getattr(router, "model_list", None) or ())
    predictions = shared.prediction_source(settings.predictor)
    # The first request must not wait for a vocabulary to be read.
    predictions.predict([read_prompt("What is this?", None, None)], [])
    shared.adopt(settings, router)
    return RouteBalanceSelector(router, settings, predictions, shared)
