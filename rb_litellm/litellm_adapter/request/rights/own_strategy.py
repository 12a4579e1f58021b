"""A `routing_strategy` that a request brings: its key's or team's own counts, one of its body does not.

LiteLLM takes a strategy from a request's keyword arguments, whoever put it there: the proxy, out of the
`router_settings` of the key or team, or the client, as a field of its body. It serves such a request with
default settings, so a client could leave behind what the operator has set for a group. A body's strategy is
therefore taken out of the request when it comes in. Where LiteLLM asks nobody about a request that comes in,
its pick is told by the copy of the body that LiteLLM keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

STRATEGY_FIELD = "routing_strategy"
_KEYS_SETTINGS = "router_settings_override"
"""Where LiteLLM puts the settings of a key or team, unless there are none: then a body's stay."""
_NOBODY = object()
_CONFIG = "user_config"
"""A whole Router of its own, which LiteLLM builds for a client where the operator lets it."""

_looked_at: ContextVar[object] = ContextVar("routebalance_strategy_looked_at", default=None)
"""Id of the call whose body has been rid of its strategy; what it brings now is its key's or team's."""


def named_by_body(request: Mapping[str, Any]) -> bool:
    """Whether the strategy of a request at its pick was named by its body, by either of two ways."""
    body = _body(request)
    if not body or (_looked_at.get() or _NOBODY) == request.get("litellm_call_id"):
        return False
    settings = body.get(_KEYS_SETTINGS)
    return STRATEGY_FIELD in body or (isinstance(settings, Mapping) and STRATEGY_FIELD in settings)


def of_key_or_team(data: Mapping[str, Any]) -> object:
    """The strategy that LiteLLM will serve a request by that has just come in, once its body's is out."""
    settings = data.get(_KEYS_SETTINGS)
    return settings.get(STRATEGY_FIELD) if isinstance(settings, Mapping) else None


def take_out(data: MutableMapping[str, Any], caller: Any) -> object:
    """Remove what the body of a request that comes in says of a strategy; None if it says nothing."""
    if STRATEGY_FIELD not in data and _KEYS_SETTINGS not in data:
        return None
    _looked_at.set(data.get("litellm_call_id"))
    found = data.pop(STRATEGY_FIELD, None)
    sent = _body(data).get(_KEYS_SETTINGS)
    # LiteLLM puts the key's or team's settings in the place of a body's, if they have any.
    if sent is not None and data.get(_KEYS_SETTINGS) == sent and not getattr(caller, "router_settings", None):
        del data[_KEYS_SETTINGS]
        found = found if found is not None or not isinstance(sent, Mapping) else sent.get(STRATEGY_FIELD)
    return found


def routers_of_body(data: Mapping[str, Any]) -> list[object]:
    """The strategies of the Router that a body brings along; empty for nearly all."""
    config = data.get(_CONFIG)
    if not isinstance(config, Mapping):
        return []
    groups = config.get("routing_groups")
    entries = [entry for entry in groups if isinstance(entry, Mapping)] if isinstance(groups, list) else []
    return [holder.get(STRATEGY_FIELD) for holder in (config, *entries)]


def _body(request: Mapping[str, Any] | None) -> Mapping[str, Any]:
    sent = (request or {}).get("proxy_server_request")
    body = sent.get("body") if isinstance(sent, Mapping) else None
    return body if isinstance(body, Mapping) else {}
