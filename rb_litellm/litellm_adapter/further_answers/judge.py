"""Whom cascades and best of n ask of answers, what that is expected to take, and when nobody is asked.

A judge that has failed FAILURES times in a row is not asked for REST_S: nobody is to wait for it each time.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from rb_litellm.config import JudgeSettings
from rb_litellm.core.fleet import Deployment
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
"""What a judge is told beside request and answers."""
_SMOOTH = 0.1
_log = logging.getLogger("rb_litellm")
_Word = TypeVar("_Word")
CallRouter = Callable[[dict[str, Any], float], Awaitable[Any]]
"""Calls the Router with these arguments, within a time in s."""


class Judge:
    """Of one selector; `name` is the setting that has it."""

    def __init__(self, router: Any, settings: JudgeSettings, worker: Worker, name: str) -> None:
        self._router = router
        self.settings = settings
        self._runtime = worker.runtime
        self._name = name
        self._know(settings.model)
        self.verdict_s = settings.seconds
        """Seconds that a verdict takes."""
        self._failed_in_a_row = 0
        self._rests_until = -math.inf
        self._found: Deployment | None = None
        self._looked_at = -math.inf

    @property
    def deployment(self) -> Deployment | None:
        """Its deployment; None while it cannot be asked or has no known price."""
        now = self._runtime.clock()
        return None if now < self._rests_until else self._now(now)

    @property
    def text_tokens(self) -> float:
        """Tokens that it is shown of one text at most."""
        return self.settings.max_chars / CHARS_PER_TOKEN

    def fixed_usd(self, judge: Deployment) -> float:
        """What a verdict costs beside what it reads."""
        most_tokens = self.settings.max_tokens
        return OVERHEAD_TOKENS * judge.input_usd_per_token + most_tokens * judge.output_usd_per_token

    def most_usd(self, messages: Sequence[Mapping[str, str]]) -> float | None:
        """What a verdict costs at most; None while it cannot be asked."""
        judge = self.deployment
        if judge is None:
            return None
        chars = sum(len(message["content"]) for message in messages)
        return self.fixed_usd(judge) + judge.input_usd_per_token * chars / LEAST_CHARS_PER_TOKEN

    def _know(self, model: str) -> None:
        """What was learned of another model under the same name is none of this one's."""
        its, runtime = self.settings, self._runtime
        with runtime.lock:
            self.rates = runtime.judges.rates.of(model, its.accepts_right, its.accepts_wrong)
            """How good it is at single answers, as all workers have learned it,"""
            self.discernment = runtime.judges.picks.of(model)
            """and at several."""

    async def word(
        self, ask: CallRouter, messages: list[dict[str, str]], read: Callable[[str], _Word], hurried: bool
    ) -> tuple[_Word, Any] | None:
        """What it says, as `read` from its text, with its own reply.

        `read` raises ValueError for what is no verdict. `hurried` says that the request's own time limit is
        shorter than a judge's: if that ends the call, the judge is not to blame. None where it fails. Raises
        nothing but its own cancellation.
        """
        asked, started = self.settings, time.monotonic()
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
            found = read(text_of(reply))
        except Exception as error:  # noqa: BLE001  the client has its answer
            self._failed(error, counts=not hurried)
            return None
        self._failed_in_a_row = 0
        self.verdict_s += _SMOOTH * (time.monotonic() - started - self.verdict_s)
        return found, reply

    def _failed(self, error: Exception, counts: bool) -> None:
        self._runtime.failed(f"{self._name} judge", error)
        if not counts:
            return
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILURES:
            self._failed_in_a_row = 0
            self._rests_until = self._runtime.clock() + REST_S
            _log.warning(
                "RouteBalance: the judge %s has failed %d times in a row; all are answered once for %g s",
                self.settings.model,
                FAILURES,
                REST_S,
            )

    def _now(self, now: float) -> Deployment | None:
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            entries = getattr(self._router, "model_list", None) or ()
            its = [entry for entry in entries if entry["model_name"] == self.settings.model][:1]
            found = self._runtime.catalog.facts(its)[0] if its else None
            if found is None or not found.priced:
                why = "the proxy has no such model" if found is None else "its price is not known"
                error = LookupError(f"{self._name}.judge.model {self.settings.model!r}: {why}")
                self._runtime.failed(f"{self._name} judge", error)
                found = None
            if found is not None and (self._found is None or self._found.model != found.model):
                self._know(f"{self.settings.model}: {found.model}")
            self._found = found
        return self._found
