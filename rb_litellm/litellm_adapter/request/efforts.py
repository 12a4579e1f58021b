"""Levels of reasoning effort as candidates: which of them a request may have, and how one is asked for.

A level is a candidate where LiteLLM's filters have left its deployment, so they hold as they are. It is set
on chat completions and the Responses API only, where the client says nothing of thinking itself and its limit
on the answer leaves room for the level's thoughts. A client's own `reasoning_effort` stays, and counts as
that level where it is a stated one. The level is set on what LiteLLM sends to the deployment, never on the
request itself: a retry or a fallback elsewhere knows nothing of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.request.budget import THOUGHTS
from rb_litellm.litellm_adapter.request.explanation import current_inquiry
from rb_litellm.litellm_adapter.request.prompt import output_limit

MAX_SETS = 256
"""Sets of candidates with their levels that are kept; the least recently used is dropped."""
_Entry = dict[str, Any]
_Key = tuple[tuple[Deployment, ...], str | None, tuple[str, ...]]
_KINDS = frozenset({"acompletion", "aresponses"})
_CLIENTS = (
    "reasoning_effort",
    "thinking",
    "output_config",
    "thinking_budget",
    "enable_thinking",
    "chat_template_kwargs",
)
"""Fields by which a client says itself how much is to be thought."""


class OfferedLevels:
    """Which levels requests may have; what was worked out lately is kept, at most MAX_SETS."""

    def __init__(self) -> None:
        self._found: OrderedDict[_Key, tuple[tuple[int, ...], tuple[Deployment, ...]]] = OrderedDict()

    def of(
        self,
        entries: Sequence[_Entry],
        facts: tuple[Deployment, ...],
        request_kwargs: Mapping[str, Any] | None,
        max_tokens: int | None,
    ) -> tuple[Sequence[_Entry], tuple[Deployment, ...]]:
        """The candidates of a request, levels among them, each with LiteLLM's entry of its deployment."""
        if request_kwargs is None or not _takes_levels(request_kwargs):
            return entries, facts
        own = _clients(request_kwargs)
        without_room = tuple(level for level in THOUGHTS if not _has_room(level, max_tokens))
        key = facts, own, without_room
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = _expanded(facts, own, without_room)
            if len(self._found) > MAX_SETS:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(key)
        places, candidates = found
        return [entries[place] for place in places], candidates


def _expanded(
    facts: Sequence[Deployment], own: str | None, without_room: Sequence[str]
) -> tuple[tuple[int, ...], tuple[Deployment, ...]]:
    """The places in `facts` of the candidates, and these; `own` is the client's word, None for none."""
    found: list[tuple[int, Deployment]] = []
    for place, deployment in enumerate(facts):
        if own is None:
            its = [level for level in deployment.levels if level.effort not in without_room]
        else:
            its = [level for level in deployment.levels if level.effort == own]
        found.extend((place, level) for level in its or (deployment,))
    return tuple(place for place, _ in found), tuple(deployment for _, deployment in found)


def asking(request_kwargs: Mapping[str, Any], effort: str, responses: bool) -> dict[str, Any] | None:
    """What is sent to the deployment, with the level asked for; None where it stays as it is.

    It stays where the client says something itself, or where a limit on the answer that a budget has lowered
    leaves the level no room.
    """
    if _clients(request_kwargs) is not None or not _has_room(effort, output_limit(request_kwargs)):
        return None
    if not responses:
        return {**request_kwargs, "reasoning_effort": effort}
    reasoning = request_kwargs.get("reasoning")
    given = reasoning if isinstance(reasoning, Mapping) else {}
    return {**request_kwargs, "reasoning": {**given, "effort": effort}}


def _takes_levels(request_kwargs: Mapping[str, Any]) -> bool:
    # An explanation calls nobody. In a Python program's own Router nothing tells the endpoint.
    if current_inquiry() is not None:
        return True
    return getattr(request_kwargs.get("litellm_logging_obj"), "call_type", None) in _KINDS


def _has_room(effort: str, max_tokens: int | None) -> bool:
    return max_tokens is None or max_tokens > THOUGHTS.get(effort, 0)


def _clients(request_kwargs: Mapping[str, Any]) -> str | None:
    """The level that the client asks for, empty for one in other words; None where it says nothing of it."""
    extra = request_kwargs.get("extra_body")
    for holder in (request_kwargs, extra if isinstance(extra, Mapping) else {}):
        for name in _CLIENTS:
            given = holder.get(name)
            if given is not None:
                return given if name == "reasoning_effort" and isinstance(given, str) else ""
        reasoning = holder.get("reasoning")
        effort = reasoning.get("effort") if isinstance(reasoning, Mapping) else None
        if effort is not None:
            return effort if isinstance(effort, str) else ""
        if isinstance(reasoning, Mapping) and reasoning.keys() & {"max_tokens", "enabled", "exclude"}:
            return ""
    return None
