"""One request as it arrives at the strategy: what the bookkeeping of its pick needs to know of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rb_litellm.excerpt import kept_name
from rb_litellm.litellm_adapter.request.routing_decision import RoutingDecision
from rb_litellm.litellm_adapter.request.wall_clock import WallClock
from rb_litellm.telemetry.records.decision import DecisionRecord, Reason

_CLOCK = WallClock()
_ACCOUNT = ("api_key", "api_base", "base_url")
"""Where a client says them, as far as its operator lets it. LiteLLM then makes up an id."""


@dataclass(slots=True)
class Arrival:
    """See the module."""

    requested: str
    """Model name that was asked for, empty where none was: LiteLLM's default fallbacks serve that too. A long
    one, which a wildcard lets a client make up, is cut."""
    task: asyncio.Task[Any] | None
    """The task that makes the pick; None in a thread without an event loop."""
    stream: bool
    at: float
    """When it arrived, on `time.perf_counter`."""
    before_s: float | None = None
    """Seconds that had passed since it came to the proxy; None where that is not known."""
    call_id: str | None = None
    """What links the picks and callbacks of one call; None until it is found out."""
    weights_from: str = "settings"
    """Who set the weights that it is decided by."""
    targets: str = ""
    """How the targets stand that it is decided under; empty without."""
    day: str = ""
    """How much of the day's dollars is spent, and how far its weights have shifted; empty without such."""
    minute: str = ""
    """The same of the minute's requests."""
    held: str = ""
    """Where it stood among held requests and how long it waited; empty where it was not held."""
    thread: str = ""
    """Name of the agent's loop that it goes on with; empty for none,"""
    readable: bool = True
    """and whether who can read what it brings along is among the deployments that LiteLLM left."""
    budget_usd: float | None = None
    key_weights: Mapping[str, float] | None = None
    """Weights of its key or team by deployment id, where these name any."""
    max_tokens: int | None = None
    """The limit on its output that was set so that the budget holds."""
    reason: Reason | None = None
    """How its deployment was chosen; None until it is,"""
    model: str = ""
    """of which model group,"""
    score: float | None = None
    """and with what score."""
    told: RoutingDecision | None = None
    """What stands of it in the request's metadata."""
    record: DecisionRecord | None = None
    """All that it was chosen by, once it is written down."""
    choices: int = 1
    """Answers that it asks for in one (`n`)."""
    own_account: bool = False
    """Whether it is sent with credentials, or to an address, of its client's own."""
    timed: bool = True
    """False where the time says nothing of a server: it brings its own answer (`mock_response`), or opens a
    websocket, which lasts as long as its client stays."""
    name_in_full: str = ""
    """The model name as LiteLLM has it: to ask LiteLLM, not to be kept."""

    @classmethod
    def now(cls, requested: str | None, request_kwargs: Mapping[str, Any] | None) -> Arrival:
        """A request that arrives at this moment, in this task."""
        at = time.perf_counter()
        try:
            task = asyncio.current_task()
        except RuntimeError:
            task = None
        kwargs = request_kwargs or {}
        choices = kwargs.get("n")
        asked = kwargs.get("proxy_server_request")
        came_s = asked.get("arrival_time") if isinstance(asked, (dict, Mapping)) else None
        return cls(
            kept_name(requested or ""),
            task,
            bool(kwargs.get("stream")),
            at,
            _CLOCK.age_s(came_s) if isinstance(came_s, float) else None,
            choices=choices if isinstance(choices, int) else 1,
            own_account=any(name in kwargs for name in _ACCOUNT),
            timed=kwargs.get("mock_response") is None and kwargs.get("websocket") is None,
            name_in_full=requested or "",
        )

    @property
    def waited_s(self) -> float:
        """Seconds that its client has waited until now, failed attempts among them."""
        return (self.before_s or 0.0) + time.perf_counter() - self.at

    @property
    def known_id(self) -> str:
        """The call id of an arrival that has one.

        Raises:
            ValueError: it is not found out yet.
        """
        if self.call_id is None:
            raise ValueError("the call id of this request is not known yet")
        return self.call_id
