"""Calls of LiteLLM's own Router on behalf of a request that has an answer already.

Its filters, cooldowns, rate limits, spend logs and callbacks hold for them, and the request's key pays. None
of them may be answered twice.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Mapping
from typing import Any

from rb_litellm.litellm_adapter.hosts import host
from rb_litellm.litellm_adapter.lifecycle.usage import hidden
from rb_litellm.litellm_adapter.request.stages import JudgesCall, Run, SecondStage, during
from rb_litellm.litellm_adapter.shared.exchange.day_spend import DaySpend

_OF_REQUEST = ("litellm_session_id", "litellm_trace_id", "user")
"""What of a request its judge's call has, too."""


class FurtherCalls:
    """Of one selector."""

    def __init__(self, router: Any, day_spend: DaySpend) -> None:
        self._router = router
        self._day_spend = day_spend

    async def make(
        self, run: Run, stage: SecondStage | JudgesCall, asked: Mapping[str, Any], timeout_s: float
    ) -> Any:
        """One call with these arguments, within a time in s."""
        metadata = host.current().subcall_metadata(run.kwargs.get("metadata") or {})
        kwargs = {
            **asked,
            "metadata": metadata,
            "litellm_call_id": stage.call_id,
            "disable_fallbacks": True,
            "timeout": min(timeout_s, own_limit(run.kwargs)),
        }
        if isinstance(other := run.kwargs.get("litellm_metadata"), Mapping):
            kwargs["litellm_metadata"] = host.current().subcall_metadata(other)
        with during(stage):
            # A task of its own, whose end tells the ledger that the attempt is over, also where time is.
            return await asyncio.wait_for(
                asyncio.ensure_future(self._router.acompletion(**kwargs)), timeout_s
            )

    async def ask_judge(self, run: Run, body: Mapping[str, Any], timeout_s: float) -> Any:
        """One call of a judge; its dollars count on the day of whose request it judges."""
        of_request = {name: run.kwargs[name] for name in _OF_REQUEST if run.kwargs.get(name) is not None}
        reply = await self.make(run, JudgesCall(str(uuid.uuid4())), {**of_request, **body}, timeout_s)
        if run.spender is not None:
            self._day_spend.sums.add(run.spender, usd_of(reply))
        return reply


def own_limit(kwargs: Mapping[str, Any]) -> float:
    """The time limit of the request itself, in s."""
    given = kwargs.get("timeout")
    return float(given) if isinstance(given, (int, float)) else math.inf


def usd_of(response: Any) -> float:
    """What LiteLLM says that a call cost."""
    cost = hidden(response)("response_cost")
    return float(cost) if isinstance(cost, (int, float)) and math.isfinite(cost) else 0.0
