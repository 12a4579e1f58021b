"""Levels of reasoning effort as candidates: which of them a request may have, and how one is asked for.

A level is a candidate where LiteLLM's filters have left its deployment, so they hold as they are. It is set
on chat completions and the Responses API only, where the client says nothing of thinking itself and every
limit on the answer leaves room for the level's thoughts; of a hosted API only where nothing in the request
may be refused beside thinking. A client's own `reasoning_effort` stays, and counts as that level where it is
a stated one. The level is set on what LiteLLM sends to the deployment, never on the request itself: a retry
or a fallback elsewhere knows nothing of it.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_args

from rb_litellm.config.deployment import EffortName
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.request.body.prompt import output_limit
from rb_litellm.litellm_adapter.request.budget import THOUGHTS
from rb_litellm.litellm_adapter.request.explanation import current_inquiry
from rb_litellm.litellm_adapter.shared.entries.effort_levels import effort_asked

MAX_SETS = 256
"""Sets of candidates with their levels that are kept; the least recently used is dropped."""
_Entry = dict[str, Any]
_Found = tuple[tuple[int, ...], tuple[Deployment, ...]]
"""Candidates of a request, levels among them, and the places of their deployments in what was asked about."""
_KINDS = frozenset({"acompletion", "aresponses"})
_EFFORTS = frozenset(get_args(EffortName))
_SAMPLING = ("top_p", "top_k")
_LATEST = 8
"""Messages among which the latest answer of the model is looked for."""


class _Asked(NamedTuple):
    """What of a request decides on its levels."""

    own: str | None
    """The level that the client asks for, empty for one in other words; None where it says nothing."""
    room: int | None
    """Tokens that its limit on the answer leaves for thoughts, as one of THOUGHTS; None without a limit."""
    unsuited: bool
    """Whether a hosted API may refuse it if it thinks."""
    max_cost_usd: float
    """Its budget; inf without one."""


class OfferedLevels:
    """Which levels requests may have; what was worked out lately is kept, at most MAX_SETS."""

    def __init__(self) -> None:
        self._found: OrderedDict[tuple[tuple[Deployment, ...], _Asked], _Found] = OrderedDict()

    def of(
        self,
        entries: Sequence[_Entry],
        facts: tuple[Deployment, ...],
        request_kwargs: Mapping[str, Any] | None,
        max_tokens: int | None,
        max_cost_usd: float | None = None,
    ) -> tuple[Sequence[_Entry], tuple[Deployment, ...]]:
        """The candidates of a request, levels among them, each with LiteLLM's entry of its deployment."""
        if request_kwargs is None or not _takes_levels(request_kwargs):
            return entries, facts
        own = effort_asked(request_kwargs)
        asked = _Asked(
            own if own is None or own in _EFFORTS else "",  # Its text is the client's, and no key of ours.
            None if max_tokens is None else max((t for t in THOUGHTS.values() if t < max_tokens), default=0),
            _refused_beside_thinking(request_kwargs),
            math.inf if max_cost_usd is None else max_cost_usd,
        )
        if (kept := self._found.get((facts, asked))) is not None:
            self._found.move_to_end((facts, asked))
            places, candidates = kept
        else:
            places, candidates = self._found[facts, asked] = _expanded(entries, facts, asked)
            if len(self._found) > MAX_SETS:
                self._found.popitem(last=False)
        return [entries[place] for place in places], candidates


def _expanded(entries: Sequence[_Entry], facts: Sequence[Deployment], asked: _Asked) -> _Found:
    found: list[tuple[int, Deployment]] = []
    for place, deployment in enumerate(facts):
        its = _levels(entries[place], deployment, asked)
        found.extend((place, level) for level in its or (deployment,))
    return tuple(place for place, _ in found), tuple(deployment for _, deployment in found)


def _levels(entry: _Entry, deployment: Deployment, asked: _Asked) -> list[Deployment]:
    """The levels that the request may have there; empty where the deployment counts as if it had none."""
    if asked.own is not None:
        return [level for level in deployment.levels if level.effort == asked.own]
    if not deployment.levels or (asked.unsuited and not deployment.server):
        return []
    # LiteLLM takes the deployment's limit where the client has none.
    limit = output_limit(entry["litellm_params"])
    room = math.inf if limit is None else limit - 1.0
    if asked.room is not None:
        room = asked.room
    if deployment.output_usd_per_token > 0.0:
        room = min(room, asked.max_cost_usd / deployment.output_usd_per_token - 1.0)
    return [level for level in deployment.levels if THOUGHTS.get(level.effort, 0) <= room]


def asking(request_kwargs: Mapping[str, Any], effort: str, responses: bool) -> dict[str, Any] | None:
    """What is sent to the deployment, with the level asked for; None where it stays as it is.

    It stays where the client says something itself, or where a limit on the answer leaves the level no room.
    """
    if effort_asked(request_kwargs) is not None or not has_room(effort, output_limit(request_kwargs)):
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


def has_room(effort: str, max_tokens: int | None) -> bool:
    """Whether a limit on the answer leaves room for the thoughts of this level; empty for none."""
    return max_tokens is None or max_tokens > THOUGHTS.get(effort, 0)


def _refused_beside_thinking(request_kwargs: Mapping[str, Any]) -> bool:
    """Whether hosted APIs may refuse the request if it thinks: some take no temperature, no forced tool, and
    no tool's result without the thoughts that led to its call."""
    temperature = request_kwargs.get("temperature")
    if temperature is not None and temperature != 1:
        return True
    if any(request_kwargs.get(name) is not None for name in _SAMPLING):
        return True
    if request_kwargs.get("tool_choice") not in (None, "auto", "none"):
        return True
    messages = request_kwargs.get("messages")
    latest: list[Any] = messages[-_LATEST:] if isinstance(messages, list) else []
    for message in reversed(latest):
        if isinstance(message, Mapping) and message.get("role") == "assistant":
            return bool(message.get("tool_calls"))
    return False
