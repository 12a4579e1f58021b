"""Whom cascades ask whether an answer is good, what that is expected to take, and when nobody is asked.

A judge that has failed FAILURES times in a row is not asked for REST_S: nobody is to wait for it each time.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from rb_litellm.config import CascadeSettings
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.request.judging import accepts, judge_messages
from rb_litellm.litellm_adapter.worker import Worker
from rb_litellm.telemetry.comparing.pairwise import text_of

FAILURES = 3
REST_S = 30.0
LOOK_EVERY_S = 10.0
"""How often the judge's deployment is looked up."""
CHARS_PER_TOKEN = 4.0
LEAST_CHARS_PER_TOKEN = 2.0
"""By which what a verdict costs at most is reckoned."""
OVERHEAD_TOKENS = 160
"""What a judge is told beside request and answer."""
_SMOOTH = 0.1
_log = logging.getLogger("rb_litellm")
CallRouter = Callable[[dict[str, Any], float], Awaitable[Any]]
"""Calls the Router with these arguments, within a time in s."""


class Judge:
    """Of one selector."""

    def __init__(self, router: Any, settings: CascadeSettings, worker: Worker) -> None:
        self._router = router
        self._settings = settings
        self._runtime = worker.runtime
        its = settings.judge
        self._rates = self._runtime.judges.of(its.model, its.accepts_right, its.accepts_wrong)
        self._verdict_s = its.seconds
        self._failed_in_a_row = 0
        self._rests_until = -math.inf
        self._found: Deployment | None = None
        self._looked_at = -math.inf

    def rule(self) -> CascadeRule | None:
        """By what cascades are priced now; None while the judge cannot be asked or has no known price."""
        now = self._runtime.clock()
        if now < self._rests_until or (judge := self._now(now)) is None:
            return None
        asked, (right, wrong) = self._settings.judge, self._rates.rates()
        return CascadeRule(
            right,
            wrong,
            self._settings.dependence,
            self._verdict_s,
            self._fixed_usd(judge),
            judge.input_usd_per_token,
            2.0 * asked.max_chars / CHARS_PER_TOKEN,
        )

    def messages(self, request: str, answer: str) -> list[dict[str, str]]:
        """What it is asked about this answer."""
        return judge_messages(request, answer, self._settings.judge.max_chars)

    def most_usd(self, messages: Sequence[Mapping[str, str]]) -> float | None:
        """What a verdict costs at most; None while it cannot be asked."""
        now = self._runtime.clock()
        if now < self._rests_until or (judge := self._now(now)) is None:
            return None
        chars = sum(len(message["content"]) for message in messages)
        return self._fixed_usd(judge) + judge.input_usd_per_token * chars / LEAST_CHARS_PER_TOKEN

    async def accepts(
        self, ask: CallRouter, messages: list[dict[str, str]], call_id: str, quality: float, hurried: bool
    ) -> tuple[bool, Any] | None:
        """Whether it calls an answer good of which this quality was predicted, with its own reply.

        `hurried` says that the request's own time limit is shorter than a judge's: if that ends the call, the
        judge is not to blame. None where it fails. Raises nothing but its own cancellation.
        """
        asked, started = self._settings.judge, time.monotonic()
        body = {
            "model": asked.model,
            "messages": messages,
            "max_tokens": asked.max_tokens,
            "temperature": 0.0,
            "drop_params": True,
            "num_retries": 0,
        }
        try:
            reply = await ask(body, asked.timeout_s)
            accepted = accepts(text_of(reply))
        except Exception as error:  # noqa: BLE001  the client has its answer
            self._failed(error, counts=not hurried)
            return None
        self._failed_in_a_row = 0
        with self._runtime.lock:
            self._verdict_s += _SMOOTH * (time.monotonic() - started - self._verdict_s)
            self._runtime.judges.judged(self._rates, call_id, quality, accepted)
        return accepted, reply

    def _fixed_usd(self, judge: Deployment) -> float:
        most_tokens = self._settings.judge.max_tokens
        return OVERHEAD_TOKENS * judge.input_usd_per_token + most_tokens * judge.output_usd_per_token

    def _failed(self, error: Exception, counts: bool) -> None:
        self._runtime.failed("cascade judge", error)
        if not counts:
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILURES:
            self._failed_in_a_row = 0
            self._rests_until = self._runtime.clock() + REST_S
            _log.warning(
                "RouteBalance: the judge %s has failed %d times in a row; all are answered once for %g s",
                self._settings.judge.model,
                FAILURES,
                REST_S,
            )

    def _now(self, now: float) -> Deployment | None:
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            entries = getattr(self._router, "model_list", None) or ()
            its = [entry for entry in entries if entry["model_name"] == self._settings.judge.model][:1]
            found = self._runtime.catalog.facts(its)[0] if its else None
            if found is None or not found.priced:
                why = "the proxy has no such model" if found is None else "its price is not known"
                error = LookupError(f"cascade.judge.model {self._settings.judge.model!r}: {why}")
                self._runtime.failed("cascade judge", error)
                found = None
            self._found = found
        return self._found
