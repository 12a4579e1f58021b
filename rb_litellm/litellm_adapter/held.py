"""Requests of one selector that would be refused for the present load, and wait in the proxy instead.

What a held request is decided by in its turn is what it came with, but for three things: deployments that
LiteLLM has put into cooldown meanwhile, has no longer, or keeps out by a callback (spent budgets among them)
are left out; limits on TTFT and E2E have run on; and it is one decision for one request.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from rb_litellm.config import HoldSettings
from rb_litellm.core.decision.breakdown import Refusal
from rb_litellm.litellm_adapter.hosts import host
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.body.prompt import counted
from rb_litellm.litellm_adapter.request.rights.caller import caller_of, owner_of, owner_of_key
from rb_litellm.litellm_adapter.request.waiting.holding import HoldEnded, Place
from rb_litellm.litellm_adapter.request.waiting.pending import Entry, PendingRequest
from rb_litellm.litellm_adapter.shared.upkeep.loop_holds import LOOP_HOLDS
from rb_litellm.litellm_adapter.worker import Worker

ANSWER_TOKENS = 512
"""What an answer counts among an owner's tokens, where the request does not allow less."""
ASKED_WITHIN_S = 0.1
"""LiteLLM may ask Redis for its cooldowns and budgets; an answer that takes longer is not waited for."""

Decide = Callable[[list[PendingRequest]], list[Entry | Refusal]]


class Hold:
    """See the module."""

    def __init__(self, router: Any, settings: HoldSettings, worker: Worker) -> None:
        self._router = router
        self._settings = settings
        self._runtime = worker.runtime
        self._accounting = worker.accounting
        self._holding = worker.holding

    def others_wait(self, arrival: Arrival) -> bool:
        """Whether requests for the same model name wait for admission, which this one must not overtake."""
        return self._holding.awaited(arrival.requested)

    def helps(self, refusal: Refusal) -> bool:
        """Whether the load alone is the reason, so that time helps."""
        return refusal.reason != "budget" and refusal.retry_after_s is not None

    async def until_placed(
        self, pending: PendingRequest, decide: Decide, refused: Refusal | None
    ) -> Entry | HoldEnded:
        """The deployment of a request once there is room for it, or why it was not held any longer.

        `refused` is what it got at its coming; None for one that comes after others that wait.
        """
        (prompt,) = counted([pending.prompt])
        pending.prompt = prompt
        # A retry: what failed before it must not count as load while this waits.
        self._accounting.give_up_earlier(pending.arrival)

        known = self._served(pending.entries)
        kept_out: list[Exception] = []

        async def attempt(waited_s: float) -> Entry | Refusal | None:
            again = _after(pending, waited_s)
            gone = known - self._served(pending.entries)
            entries = [entry for entry in pending.entries if _id_of(entry) not in gone]
            if not entries:
                return None
            entries = await self._without_cooldowns(entries)
            try:
                entries = await self._allowed(pending, entries)
            except Exception as error:  # noqa: BLE001  LiteLLM's answer to whoever comes now
                kept_out.append(error)
                return None
            if not entries:
                return None
            if len(entries) < len(pending.entries):
                left = {_id_of(entry) for entry in entries}
                candidates = tuple(c for c in pending.candidates if c.id in left)
                again = replace(again, entries=entries, candidates=candidates)
            # Not to be taken for the time of the decision.
            pending.arrival.at = time.perf_counter()
            placed: list[Entry | Refusal] = []
            LOOP_HOLDS.during("decision", lambda: placed.extend(decide([again])))
            return placed[0]

        def tell(stood: str) -> None:
            pending.arrival.held = stood

        try:
            return await self._holding.wait(
                self._place(pending, refused is not None and refused.reason == "slo"), attempt, tell
            )
        except HoldEnded as ended:
            if ended.why == "gone" and kept_out:
                ended.error = kept_out[-1]
            return ended

    def _place(self, pending: PendingRequest, limited: bool) -> Place:
        arrival, prompt, settings = pending.arrival, pending.prompt, self._settings
        caller = caller_of(pending.request_kwargs)
        slo = None if pending.limits is None else pending.limits.slo
        patience_s = settings.max_wait_s
        if slo is not None and slo.mode == "strict":
            patience_s = min(patience_s, slo.patience_s)
        exchange = self._runtime.sharing.status()
        workers = 1 + (0 if exchange is None else exchange.peers)
        return Place(
            model=arrival.requested,
            limited=limited,
            owner=owner_of(caller)
            if settings.fair_by == "team"
            else ("" if caller is None else owner_of_key(caller)),
            priority=pending.priority,
            tokens=prompt.input_tokens + min(prompt.max_tokens or ANSWER_TOKENS, ANSWER_TOKENS),
            patience_s=patience_s,
            candidates=frozenset(deployment.id for deployment in pending.candidates),
            most=math.ceil(settings.max_requests / workers),
        )

    def _served(self, entries: Sequence[Entry]) -> set[str]:
        """Ids of those that LiteLLM has; of what it makes for one request alone it knows nothing."""
        ids = {_id_of(entry) for entry in entries}
        try:
            return {id_ for id_ in ids if host.current().serves(self._router, id_)}
        except Exception as error:  # noqa: BLE001  then the list that it came with counts
            self._runtime.failed("deployments of a held request", error)
            return ids

    async def _without_cooldowns(self, entries: list[Entry]) -> list[Entry]:
        """Those that LiteLLM does not keep out by now; all where none is left, as LiteLLM's fallback does."""
        ids = [_id_of(entry) for entry in entries]
        try:
            asked = host.current().cooldowns(self._router, ids)
            kept_out = await asyncio.wait_for(asked, ASKED_WITHIN_S)
        except Exception as error:  # noqa: BLE001  then the list that it came with counts
            self._runtime.failed("cooldowns of a held request", error)
            return entries
        return [e for e, id_ in zip(entries, ids, strict=True) if id_ not in kept_out] or entries

    async def _allowed(self, pending: PendingRequest, entries: list[Entry]) -> list[Entry]:
        """Those that LiteLLM's callbacks would let the request go to if it came now.

        Raises:
            Whatever a callback raises.
        """
        kwargs = {} if pending.request_kwargs is None else pending.request_kwargs
        asked = host.current().filtered(
            self._router, pending.arrival.name_in_full, list(entries), pending.messages, kwargs
        )
        try:
            allowed = await asyncio.wait_for(asked, ASKED_WITHIN_S)
        except (asyncio.TimeoutError, AttributeError, TypeError) as error:
            # No answer, or another release's way to ask: the list that it came with counts.
            self._runtime.failed("filters of a held request", error)
            return entries
        return [entry for entry in entries if _id_of(entry) in allowed]


def _id_of(entry: Entry) -> str:
    return str(entry["model_info"]["id"])


def _after(pending: PendingRequest, waited_s: float) -> PendingRequest:
    limits = pending.limits
    if limits is None or limits.slo is None:
        return pending
    return replace(pending, limits=limits._replace(slo=limits.slo.after(waited_s)))
