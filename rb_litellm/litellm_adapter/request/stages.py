"""The calls that a request is made of which is answered more than once, and how their picks know of it.

A request of a cascade is two calls of LiteLLM's Router, with a judge's between them, each under a call id of
its own; one with several answers is a call and the judge's. The first is the client's. What its pick decides
travels back to whoever waits for its answer in a context variable, and what the second pick must know travels
there in the same way. A pick of any other call that is made meanwhile, a guardrail's or the judge's, has
another call id and takes nothing from it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from rb_litellm.controls import NOTHING, Given, Plan
from rb_litellm.core.best_of.rule import BestOfRule
from rb_litellm.core.cascade.rule import CascadeRule
from rb_litellm.core.fleet import Deployment

_Entry = dict[str, Any]
_LEAST_USD = 1e-12
"""What is left of a budget that is used up: no answer is to be had for it."""
_WRITTEN_TO = ("metadata", "litellm_metadata", "extra_body")
"""LiteLLM writes into these while it serves a call, and our own limits into the last."""


class FollowUp(Protocol):
    """What a pick has decided to follow its answer."""

    async def follow(self, response: Any) -> Any:
        """The answer that the client gets, given the first one. Raises nothing but its own cancellation."""

    def without(self, error: BaseException) -> bool:
        """The call has failed: whether it may be only for what was asked of it beyond one answer."""

    def alone_too(self, error: BaseException) -> None:
        """The call for one answer, which came after `without`, has failed as well."""

    def given_up(self) -> None:
        """There is nothing to follow: the call has failed, its client has left, or another pick decides."""


@dataclass(slots=True)
class Run:
    """A request that may be answered more than once, from its coming to its answer."""

    call_id: str
    kwargs: dict[str, Any]
    """As they came; nothing of the first call is left in them."""
    started_s: float = field(default_factory=time.monotonic)
    given: Given = NOTHING
    """The controls of its first pick."""
    spender: str | None = None
    """Whose day's dollars it counts on; None for nobody's."""
    follow_up: FollowUp | None = None
    """None while it is answered once."""
    several: bool = True
    """Whether one model may still be asked for several answers."""
    several_asked: bool = False
    """Whether one was, so that more may come than the client has asked for."""

    @property
    def lasts_s(self) -> float:
        """Seconds since it came to the Router."""
        return time.monotonic() - self.started_s

    def anew(self) -> dict[str, Any]:
        """What came, to be sent once more."""
        return {**self.kwargs, **_copied(self.kwargs)}


@dataclass(frozen=True, slots=True)
class Offer:
    """By what a request may be answered more than once; None for never."""

    cascade: CascadeRule | None = None
    best_of: BestOfRule | None = None
    run: Run | None = None
    """Where what is decided is told to whoever waits for the answer."""


ONCE = Offer()


@dataclass(frozen=True, slots=True)
class SecondStage:
    """What the pick of the second call goes by beside the request."""

    call_id: str
    wanted: Deployment
    given: Given
    spent_usd: float
    started_s: float

    def narrowed(self, healthy: Sequence[_Entry]) -> Sequence[_Entry]:
        """The deployments of the model that is to answer now.

        Raises:
            LookupError: LiteLLM's filters left none.
        """
        left = [entry for entry in healthy if entry["model_name"] == self.wanted.group]
        if not left:
            raise LookupError(f"no deployment of {self.wanted.group} is left for a second answer")
        return left

    def at_its_level(
        self, entries: Sequence[_Entry], candidates: tuple[Deployment, ...]
    ) -> tuple[Sequence[_Entry], tuple[Deployment, ...]]:
        """Those at the level of effort that was priced; all where none is at it any more."""
        its = [n for n, candidate in enumerate(candidates) if candidate.effort == self.wanted.effort]
        if not its:
            return entries, candidates
        return [entries[n] for n in its], tuple(candidates[n] for n in its)

    def held_to(self, plan: Plan) -> Plan:
        """The plan with what the first stage has left of its budget and of its time."""
        slo, most = plan.slo, plan.max_cost_usd
        if most is not None:
            most = max(most - self.spent_usd, _LEAST_USD)
        if slo is not None:
            slo = slo.after(time.monotonic() - self.started_s)
            slo = slo if slo.max_cost_usd is None else replace(slo, max_cost_usd=most)
        return replace(plan, slo=slo, max_cost_usd=most)


@dataclass(frozen=True, slots=True)
class JudgesCall:
    """A call that asks the judge, where that is routed by us, too: no request of the client's, so none of its
    controls are for it. It goes wherever LiteLLM's filters leave."""

    call_id: str
    given: Given = NOTHING

    def narrowed(self, healthy: Sequence[_Entry]) -> Sequence[_Entry]:
        """All of them."""
        return healthy

    def at_its_level(
        self, entries: Sequence[_Entry], candidates: tuple[Deployment, ...]
    ) -> tuple[Sequence[_Entry], tuple[Deployment, ...]]:
        """All of them."""
        return entries, candidates

    def held_to(self, plan: Plan) -> Plan:
        """The settings' plan."""
        return plan


_Stage = Run | SecondStage | JudgesCall
_current: ContextVar[_Stage | None] = ContextVar("routebalance_cascade", default=None)


def run_of(kwargs: dict[str, Any]) -> Run | None:
    """A run for a call that comes to the Router; None for a call within another run, or not of the proxy."""
    if _current.get() is not None or not isinstance(kwargs.get("proxy_server_request"), Mapping):
        return None
    call_id = kwargs.get("litellm_call_id")
    return Run(call_id, {**kwargs, **_copied(kwargs)}) if isinstance(call_id, str) else None


def _copied(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: dict(its) for name in _WRITTEN_TO if isinstance(its := kwargs.get(name), Mapping)}


@contextmanager
def during(what: _Stage) -> Iterator[None]:
    """Picks within this block in this context know of it."""
    token = _current.set(what)
    try:
        yield
    finally:
        _current.reset(token)


def run_at_pick(call_id: str | None) -> Run | None:
    """The run that the pick of this call belongs to, as its first stage."""
    current = _current.get()
    return current if isinstance(current, Run) and current.call_id == call_id else None


def further_at_pick(request_kwargs: Mapping[str, Any] | None) -> SecondStage | JudgesCall | None:
    """What a pick goes by, where it is that of a call that followed a first answer."""
    current = _current.get()
    if current is None or isinstance(current, Run) or request_kwargs is None:
        return None
    return current if current.call_id == request_kwargs.get("litellm_call_id") else None
