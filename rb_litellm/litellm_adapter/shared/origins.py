"""Who wrote the last part of each agent's loop, and in whose account.

Encrypted reasoning and signed thinking come back with the next call, and only some deployments can read them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from rb_litellm.litellm_adapter.shared.entries.facts import with_credential

MAX_ORIGINS = 16_384
"""Threads kept per process, about 6 MB; the least recently used is forgotten."""
KEPT_S = 86_400.0
"""A thread without a call for a day is forgotten."""
_ACCOUNT = (
    "custom_llm_provider",
    "api_base",
    "base_url",
    "api_key",
    "organization",
    "aws_access_key_id",
    "aws_profile_name",
    "aws_role_name",
    "vertex_project",
    "vertex_credentials",
)
"""Settings of a deployment by which a provider tells accounts apart."""


class Origin(NamedTuple):
    """The deployment that wrote something, and in what it may be replaced for reading that."""

    deployment: str
    account: bytes
    """A hash of provider, address and credentials."""
    model: str
    at_s: float = 0.0


def origin_of(entry: Mapping[str, Any], now: float = 0.0) -> Origin:
    """A LiteLLM entry as an origin."""
    params = with_credential(entry["litellm_params"])
    model = str(params.get("model"))
    told = repr((model.partition("/")[0], *map(params.get, _ACCOUNT)))
    account = blake2b(told.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return Origin(str(entry["model_info"]["id"]), account, model, now)


class Origins:
    """The origin of each thread, by name. Bounded; guard with the caller's lock."""

    def __init__(self, most: int = MAX_ORIGINS) -> None:
        self._most = most
        self._last: OrderedDict[str, Origin] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def sent(self, thread: str, origin: Origin) -> None:
        """Record that a call of the thread goes there."""
        self._last[thread] = origin
        self._last.move_to_end(thread)
        if len(self._last) > self._most:
            self._last.popitem(last=False)

    def of(self, thread: str, now: float) -> Origin | None:
        """Where the thread's last call went; None for an unknown thread."""
        found = self._last.get(thread)
        return None if found is None or now - found.at_s > KEPT_S else found
