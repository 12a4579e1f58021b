"""Who sends a request: LiteLLM's record of the key, and whose memory of prompts the request may use."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

_BUCKETS = ("litellm_metadata", "metadata")
"""LiteLLM notes the caller in one of these; the other may hold what the client sent."""
_JSON = (str, int, float, bool, list, Mapping)
_ADMIN = "proxy_admin"
_VIEWER = "proxy_admin_viewer"
"""LiteLLM's role of those who may see all and change nothing."""


def caller_of(request_kwargs: Mapping[str, Any] | None) -> Any:
    """LiteLLM's `UserAPIKeyAuth` of a request at its pick; None without one (the SDK).

    What a client may have written in its place is JSON, and no such object.
    """
    for bucket in _BUCKETS:
        metadata = (request_kwargs or {}).get(bucket)
        # Nearly always a dict, which is told from others several times sooner than a mapping is.
        if isinstance(metadata, (dict, Mapping)):
            caller = metadata.get("user_api_key_auth")
            if caller is not None and not isinstance(caller, _JSON):
                return caller
    return None


def owner_of(caller: Any) -> str:
    """Whose prompts and sessions those of a caller are: its team's, else its key's; empty without a caller.

    A hash, so that no key is kept in memory for it.
    """
    if caller is None:
        return ""
    team = getattr(caller, "team_id", None)
    return _hashed("team", team) if team else owner_of_key(caller)


def owner_of_key(caller: Any) -> str:
    """The key of a caller, hashed."""
    return _hashed("key", getattr(caller, "token", None) or getattr(caller, "api_key", None))


def _hashed(kind: str, name: object) -> str:
    return sha256(repr((kind, name)).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def is_admin(caller: Any, method: str = "GET") -> bool:
    """Whether a caller's role lets it see, or with another method change, what belongs to all."""
    role = getattr(caller, "user_role", None)
    role = getattr(role, "value", role)
    return role == _ADMIN or (role == _VIEWER and method in ("GET", "HEAD"))
