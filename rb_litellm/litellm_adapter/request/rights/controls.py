"""Where the controls of a request come from: headers, body, and the metadata of its key and team.

The proxy tells us of a request before it is routed (`async_pre_call_hook`): there they are taken out of it,
so that nothing of them goes upstream, checked, and refused by 400 (a wrong value) or 403 (one that may not be
set). They travel to the pick in a context variable, so each request keeps its own for exactly as long
as it lives; the pick of another call made on its behalf, a guardrail's for one, does not inherit them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from rb_litellm.config import SettingsError
from rb_litellm.controls import (
    MAX_PRIORITY,
    NOTHING,
    Controls,
    Given,
    LevelControls,
    Planner,
    parse_controls,
)
from rb_litellm.litellm_adapter.hosts.host import is_ours
from rb_litellm.litellm_adapter.request.rights import own_strategy
from rb_litellm.litellm_adapter.request.rights.caller import caller_of
from rb_litellm.litellm_adapter.request.rights.planner import decides_anything

HEADER = "x-routebalance-"
KEY = "routebalance"
"""Name of our part of a request's body, and of a key's or team's metadata."""
_METADATA = ("metadata", "litellm_metadata")
_log = logging.getLogger("rb_litellm")
_C = TypeVar("_C", bound=Controls)


class BadControls(ValueError):
    """Controls that a request may not have; `status` is 400 for a wrong value, 403 for a forbidden one."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Carried:
    call_id: object
    given: Given


_carried: ContextVar[_Carried | None] = ContextVar("routebalance_controls", default=None)


def take_in(data: MutableMapping[str, Any], caller: Any, planner: Callable[[], Planner | None]) -> None:
    """Take the controls out of a proxy's request and keep them for its pick.

    `caller` is LiteLLM's `UserAPIKeyAuth`; `planner` finds whoever will decide the request, None where that
    is somebody else.

    Raises:
        BadControls: naming what is wrong, its value and what is allowed.
    """
    _hold_strategy(data, caller, planner)
    priority = _priority(data)
    try:
        given = _given(caller, [*priority, *_taken(data)])
    except SettingsError as error:
        raise BadControls(str(error), 400) from None
    if given is NOTHING:
        return
    decides = planner()
    if decides is not None:
        plan = decides.plan(given)
        if decides.rejects and plan.refused:
            raise BadControls("routebalance: " + "; ".join(plan.refused), 403)
        if priority and plan.refused and data["priority"] != plan.priority:
            # LiteLLM's own queue goes by it as well.
            del data["priority"]
            data.update({} if plan.priority is None else {"priority": plan.priority})
    _carried.set(_Carried(data.get("litellm_call_id"), given))


def _hold_strategy(
    data: MutableMapping[str, Any], caller: Any, planner: Callable[[], Planner | None]
) -> None:
    """A body's own routing strategy must not take the request out of what the operator has set."""
    if any(is_ours(strategy) for strategy in own_strategy.routers_of_body(data)):
        raise BadControls(f"routebalance: user_config: a request may not bring {KEY} along", 403)
    named = own_strategy.take_out(data, caller) if decides_anything() else None
    if named is None or is_ours(named):
        return
    decides = planner()
    if decides is not None and decides.rejects:
        shown = named if isinstance(named, str) else type(named).__name__
        raise BadControls(
            f"routebalance: {own_strategy.STRATEGY_FIELD}: a request may not set it (value {shown[:64]!r}); "
            "its key or team may, in their router_settings",
            403,
        )


def given_to(request_kwargs: Mapping[str, Any] | None) -> Given:
    """The controls that the request of a pick was given; NOTHING for nearly all.

    Where no proxy took them in (the SDK, or an endpoint that has no such hook) they are read here, and
    those that are wrong are left out with a log line, level by level: a pick refuses nobody for them,
    and what a request says wrongly does not set aside what its team and key hold it to.
    """
    if request_kwargs is None:
        return NOTHING
    carried = _carried.get()
    if carried is not None and carried.call_id == request_kwargs.get("litellm_call_id"):
        return carried.given
    caller, raw = caller_of(request_kwargs), None
    for bucket in _METADATA:
        metadata = request_kwargs.get(bucket)
        if isinstance(metadata, (dict, Mapping)):
            raw = raw or metadata.get(KEY)
    priority = _priority(request_kwargs)
    if caller is None and raw is None and not priority:
        return NOTHING
    own = [("metadata.routebalance", raw)] if isinstance(raw, Mapping) else []
    given = Given(
        _read(lambda: _team_level(caller)),
        _read(lambda: _key_level(caller)),
        _read(lambda: _request_level([*priority, *own])),
    )
    return NOTHING if given == NOTHING else given


def _read(level: Callable[[], _C | None]) -> _C | None:
    try:
        return level()
    except SettingsError as error:
        _log.warning("RouteBalance: the controls of a request are ignored: %s", error)
        return None


def _priority(data: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """LiteLLM's priority of a request as a control, if it has one that LiteLLM goes by."""
    value = data.get("priority")
    if not isinstance(value, int) or isinstance(value, bool):
        return []
    return [("priority", {"priority": min(max(value, 0), MAX_PRIORITY)})]


def _given(caller: Any, raw: list[tuple[str, Mapping[str, Any]]]) -> Given:
    given = Given(_team_level(caller), _key_level(caller), _request_level(raw))
    return NOTHING if given == NOTHING else given


def _team_level(caller: Any) -> LevelControls | None:
    return _level(getattr(caller, "team_metadata", None), "team metadata.routebalance")


def _key_level(caller: Any) -> LevelControls | None:
    return _level(getattr(caller, "metadata", None), "key metadata.routebalance")


def _request_level(raw: list[tuple[str, Mapping[str, Any]]]) -> Controls | None:
    request: Controls | None = None
    for where, controls in raw:
        parsed = parse_controls(controls, where)
        # What was said later says more precisely what is meant.
        request = parsed if request is None else request.model_copy(update=parsed.given())  # type: ignore[arg-type]
    return request


def _level(metadata: object, where: str) -> LevelControls | None:
    raw = metadata.get(KEY) if isinstance(metadata, Mapping) else None
    if raw is None:
        return None
    parsed = parse_controls(raw, where, LevelControls)
    assert isinstance(parsed, LevelControls)
    return parsed


def _taken(data: MutableMapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What the request says to us, general first; none of it is left where it could go upstream."""
    found: list[tuple[str, Mapping[str, Any]]] = []

    def take(holder: object, where: str) -> None:
        if isinstance(holder, MutableMapping) and KEY in holder:
            found.append((f"{where}{KEY}", holder.pop(KEY)))

    for bucket in _METADATA:
        take(data.get(bucket), f"{bucket}.")
        _forget(data.get(bucket))
    take(data, "")
    take(data.get("extra_body"), "extra_body.")
    sent = data.get("proxy_server_request")
    headers = _ours(sent.get("headers") if isinstance(sent, Mapping) else None)
    if headers:
        found.append((HEADER, {name: headers[header] for header, name in _names(headers)}))
    for outgoing in ("headers", "extra_headers"):
        holder = data.get(outgoing)
        for header in _ours(holder):
            assert isinstance(holder, MutableMapping)
            del holder[header]
    # The same object may be found by two of its names, as LiteLLM copies a body's metadata.
    return [(where, raw) for where, raw in found if raw is not None]


def _forget(metadata: object) -> None:
    """LiteLLM keeps what a client sent as metadata a second time, and may send it on."""
    requester = metadata.get("requester_metadata") if isinstance(metadata, Mapping) else None
    if isinstance(requester, MutableMapping):
        requester.pop(KEY, None)


def _ours(headers: object) -> dict[str, Any]:
    if not isinstance(headers, Mapping):
        return {}
    return {name: value for name, value in headers.items() if str(name).lower().startswith(HEADER)}


def _names(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(header, header.lower().removeprefix(HEADER).replace("-", "_")) for header in headers]
