"""Agents' loops: which thread a request goes on with, and which deployments can read what it brings along.

Some of what an answer holds comes back with the next call, and not every deployment can read it:

- `previous_response_id`: the response is kept where it was made. LiteLLM writes the deployment into the id.
- encrypted reasoning of the Responses API (`encrypted_content`): its provider's account alone. With its
  `encrypted_content_affinity` on, LiteLLM writes the deployment into it; else the thread tells.
- signed thinking of Anthropic's models (`signature`, `redacted_thinking`): the same model and account
  (https://platform.claude.com/docs/en/build-with-claude/preserved-thinking).

Such a request goes to those that can read it, as long as LiteLLM's filters have left any. Where none is left,
nothing is withheld from the others, and the thread stays tied to its origin, for when that is back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, Literal, NamedTuple

from rb_litellm.config import AgentSettings
from rb_litellm.litellm_adapter.request.arrival import Arrival
from rb_litellm.litellm_adapter.request.body.prompt import first_question, session_of
from rb_litellm.litellm_adapter.request.rights.caller import caller_of, owner_of
from rb_litellm.litellm_adapter.request.waiting.pending import Entry
from rb_litellm.litellm_adapter.runtime import Runtime
from rb_litellm.litellm_adapter.shared.origins import Origin, origin_of

MAX_PARTS = 2_048
"""Messages, items and parts of them that are looked through for what not everybody can read, from the end."""
_NAME_BYTES = 16


class Bond(NamedTuple):
    """What a request holds that not everybody can read."""

    by: Literal["response", "account", "model"]
    """Who can: the deployment alone, those of its account, or those of its account with its model."""
    deployment: str | None
    """The deployment that it names itself; None where it names none."""


class Agents:
    """What routing does for agents, with these settings."""

    def __init__(self, settings: AgentSettings, runtime: Runtime) -> None:
        self.rule = settings.rule()
        self._runtime = runtime

    def narrowed(
        self, arrival: Arrival, healthy: Sequence[Entry], body: object, kwargs: Mapping[str, Any] | None
    ) -> Sequence[Entry]:
        """Those of the deployments that can read the request; notes its thread. Never raises."""
        try:
            arrival.thread = thread_of(body, kwargs or {})
            return self._readers(arrival, healthy, bond_of(body, kwargs or {}))
        except Exception as error:  # noqa: BLE001  the request is routed as without it
            self._runtime.failed("agents", error)
            return healthy

    def sent(self, arrival: Arrival, chosen: Entry, now: float) -> None:
        """Record who is to answer; the caller holds the runtime's lock. Never raises."""
        if not (arrival.thread and arrival.readable):
            return
        try:
            self._runtime.origins.sent(arrival.thread, origin_of(chosen, now))
        except Exception as error:  # noqa: BLE001  the attempt is open already
            self._runtime.failed("agents", error)

    def _readers(self, arrival: Arrival, healthy: Sequence[Entry], bond: Bond | None) -> Sequence[Entry]:
        if bond is None:
            return healthy
        origin = None
        if bond.deployment is not None:
            named = [entry for entry in healthy if str(entry["model_info"]["id"]) == bond.deployment]
            if bond.by == "response":
                return named or healthy
            origin = origin_of(named[0]) if named else None
        if origin is None and arrival.thread:
            with self._runtime.lock:
                origin = self._runtime.origins.of(arrival.thread, self._runtime.clock())
        if origin is None or bond.by == "response":
            return healthy
        left = [entry for entry in healthy if _reads(origin_of(entry), origin, bond)]
        arrival.readable = bool(left)
        return left or healthy


def _reads(one: Origin, origin: Origin, bond: Bond) -> bool:
    if one.deployment == origin.deployment:
        return True
    return one.account == origin.account and (bond.by == "account" or one.model == origin.model)


def thread_of(body: object, kwargs: Mapping[str, Any]) -> str:
    """Name of the agent's loop that a request goes on with; empty for a request of no agent.

    A loop has a session or tools. Its name is a hash of caller, session and the first question: agents that
    share a session, as a coding agent and those that it starts, have prefixes of their own.
    """
    session = session_of(kwargs)
    if not session and not kwargs.get("tools"):
        return ""
    told = "\0".join((owner_of(caller_of(kwargs)), session, first_question(body)))
    return blake2b(told.encode("utf-8", "surrogatepass"), digest_size=_NAME_BYTES).hexdigest()


def bond_of(body: object, kwargs: Mapping[str, Any]) -> Bond | None:
    """What of a request not everybody can read; None where everybody can. The last such part counts."""
    previous = kwargs.get("previous_response_id")
    if isinstance(previous, str) and previous:
        return Bond("response", _marks().get_model_id_from_response_id(previous))
    if not isinstance(body, list):
        return None
    bonds = (_bond_of_part(part) for part in islice(_parts(body), MAX_PARTS) if isinstance(part, Mapping))
    return next((bond for bond in bonds if bond is not None), None)


def _parts(body: Sequence[object]) -> Iterator[object]:
    """From the end: each item of the Responses API, or message, and what it holds."""
    for item in reversed(body):
        yield item
        if isinstance(item, Mapping):
            for name in ("content", "thinking_blocks"):
                held = item.get(name)
                if isinstance(held, list):
                    yield from held


def _bond_of_part(part: Mapping[str, Any]) -> Bond | None:
    encrypted = part.get("encrypted_content")
    if isinstance(encrypted, str) and encrypted and part.get("type") in ("reasoning", "compaction"):
        return Bond("account", _marked(part.get("id"), encrypted))
    kind = part.get("type")
    signature = part.get("signature")
    if kind == "redacted_thinking" or (kind == "thinking" and isinstance(signature, str) and signature):
        return Bond("model", None)
    return None


def _marked(item_id: object, encrypted: str) -> str | None:
    """The deployment that LiteLLM has written into an item; None where it has not."""
    deployment: str | None = None
    if isinstance(item_id, str) and (decoded := _marks().decode_encrypted_item_id(item_id)):
        deployment = decoded.get("model_id")
    return deployment or _marks().unwrap_encrypted_content_with_model_id(encrypted)[0] or None


def _marks() -> Any:
    """What reads the marks that LiteLLM writes into ids; imported by the first request that has any."""
    from litellm.responses.utils import ResponsesAPIRequestUtils

    return ResponsesAPIRequestUtils
