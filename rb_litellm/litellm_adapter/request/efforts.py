"""Levels of reasoning effort as candidates: which of them a request may have, and how one is asked for.

A level is a candidate where LiteLLM's filters have left its deployment, so they hold as they are. It is set
on chat completions and the Responses API only, where the client says nothing of thinking itself and its limit
on the answer leaves room for the level's thoughts; of a hosted API only where nothing in the request may be
refused beside thinking. A client's own `reasoning_effort` stays, and counts as
that level where it is a stated one. The level is set on what LiteLLM sends to the deployment, never on the
request itself: a retry or a fallback elsewhere knows nothing of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from rb_litellm.config.deployment import EffortName
from rb_litellm.core.fleet import Deployment
from rb_litellm.litellm_adapter.request.budget import THOUGHTS
from rb_litellm.litellm_adapter.request.explanation import current_inquiry
from rb_litellm.litellm_adapter.request.prompt import output_limit
from rb_litellm.litellm_adapter.shared.effort_levels import effort_asked

MAX_SETS = 256
"""Sets of candidates with their levels that are kept; the least recently used is dropped."""
_Entry = dict[str, Any]
_Key = tuple[tuple[Deployment, ...], str | None, tuple[str, ...], bool]
_KINDS = frozenset({"acompletion", "aresponses"})
_EFFORTS = frozenset(get_args(EffortName))
_SAMPLING = ("top_p", "top_k")
_LATEST = 8
"""Messages among which the latest answer of the model is looked for."""


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
        own = effort_asked(request_kwargs)
        if own is not None and own not in _EFFORTS:
            own = ""  # Its text is the client's, and no key of ours.
        without_room = tuple(level for level in THOUGHTS if not _has_room(level, max_tokens))
        hosted = not _refused_beside_thinking(request_kwargs)
        key = facts, own, without_room, hosted
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = _expanded(*key)
            if len(self._found) > MAX_SETS:
                self._found.popitem(last=False)
        else:
            self._found.move_to_end(key)
        places, candidates = found
        return [entries[place] for place in places], candidates


def _expanded(
    facts: Sequence[Deployment], own: str | None, without_room: Sequence[str], hosted: bool
) -> tuple[tuple[int, ...], tuple[Deployment, ...]]:
    """The places in `facts` of the candidates, and these; `own` is the client's word, None for none, and
    `hosted` says whether levels of hosted APIs are among them."""
    found: list[tuple[int, Deployment]] = []
    for place, deployment in enumerate(facts):
        if not (hosted or deployment.server):
            its = []
        elif own is None:
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
    if effort_asked(request_kwargs) is not None or not _has_room(effort, output_limit(request_kwargs)):
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
    for message in reversed(messages[-_LATEST:] if isinstance(messages, list) else ()):
        if isinstance(message, Mapping) and message.get("role") == "assistant":
            return bool(message.get("tool_calls"))
    return False
