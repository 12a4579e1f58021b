"""A pick of LiteLLM's Rust line: what its core asks Python, and what our selectors answer.

The core names the candidates by their ids. LiteLLM has it make a dictionary of each for every request, and
hands selectors a copy of the request; ours are given dictionaries that are made once, and the request itself,
whose `max_tokens` and metadata they may set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rb_litellm.litellm_adapter.hosts.held_strategies import held
from rb_litellm.litellm_adapter.hosts.host import STRATEGY
from rb_litellm.litellm_adapter.hosts.rust.selectors import decider, ours, own_selector
from rb_litellm.litellm_adapter.request.waiting.pending import Entry
from rb_litellm.litellm_adapter.shared.catalog import MAX_DEPLOYMENTS
from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector
from rb_litellm.litellm_adapter.worker import worker

_ENTRIES = "routebalance_entries"
"""Where a core keeps what was made of its deployments."""


class Entries:
    """Dictionaries of a core's deployments by id, made at first use and again when one has changed."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._version = -1
        self._known: dict[str, Entry] = {}
        self._before: dict[str, Entry] = {}

    def of(self, handle: Any, ids: Sequence[str]) -> list[Entry]:
        """The deployments of these ids; the same objects as long as they stay what they were."""
        version = handle.registry_version()
        if handle is not self._handle or version != self._version:
            # Any change counts up the version: those that it left alone are taken over.
            self._handle, self._version = handle, version
            before = {**self._before, **self._known}
            self._before, self._known = before if len(before) <= MAX_DEPLOYMENTS else {}, {}
        known = self._known
        try:
            return [known[id_] for id_ in ids]
        except KeyError:
            return [known.get(id_) or self._read(id_) for id_ in ids]

    def _read(self, id_: str) -> Entry:
        record = self._handle.deployment(id_)
        if record is None:
            # The deployment that LiteLLM makes up for a name that it does not know.
            record = {"model_name": "", "litellm_params": {}, "model_info": {"id": id_}}
        before = self._before.pop(id_, None)
        entry: Entry = record if before is None or before != record else before
        self._known[id_] = entry
        return entry


class Candidates(list[Entry]):
    """Candidates of one pick, with the request itself and the core that asks."""

    def __init__(self, entries: Sequence[Entry], known: Sequence[Entry], request: Any, core: Any) -> None:
        super().__init__(entries)
        self.known = known
        """The same ones, as they were made once."""
        self.request = request
        self.core = core


def inputs(original: Callable[..., Any], core: Any, step: Mapping[str, Any], request: dict[str, Any]) -> Any:
    """What a pick goes by: strategy, selector, the model's name and the candidates."""
    if step.get("stage") != "strategy":
        return None
    selector = _selector(core, step, request)
    mine = ours(selector)
    if mine is None:
        return original(step, request)
    if step.get("records") is not None:
        # Deployments that share an id: LiteLLM tells them apart by the dictionaries that it made.
        _, _, model, made = original(step, request)
        return STRATEGY, selector, model, Candidates(made, made, request, core)
    known = _entries(core).of(core._handle, step["candidates"])
    if mine is selector:
        return STRATEGY, selector, str(step["model"]), Candidates(known, known, request, core)
    # Shadow mode: a strategy of LiteLLM's gets what it would get without us.
    _, _, model, made = original(step, request)
    return mine.settings.base_strategy, selector, model, Candidates(made, known, request, core)


def usage_read_scope(
    original: Callable[..., AbstractContextManager[None]], core: Any, model: str, request: Mapping[str, Any]
) -> AbstractContextManager[None]:
    """What LiteLLM reads ahead for usage-based-routing-v2, for which it lists all deployments of the model.

    It does so before it knows the strategy, by a dictionary for each, at half the cost of a whole pick; no
    other strategy has a use for them.
    """
    try:
        if decider(core, model, request) is not None:
            return nullcontext()
    except Exception:  # noqa: BLE001  what is saved is time alone
        return original(model, request)
    return original(model, request)


async def pick_async(
    original: Callable[..., Any],
    strategy: str,
    selector: Any,
    model: str,
    deployments: list[Entry],
    messages: Any,
    input: Any,
    request_kwargs: dict[str, Any] | None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """The deployment for a request, out of those that LiteLLM's filters left; None for none."""
    mine = ours(selector)
    if mine is None:
        return await original(
            strategy, selector, model, deployments, messages, input, request_kwargs, *args, **kwargs
        )
    if not isinstance(deployments, Candidates):
        # A turn of a websocket session: it stays with the deployment that the session was opened on.
        return deployments[0]
    asked = _asked(model, deployments, messages, input)
    if mine.settings.mode != "shadow":
        return await mine.select(**asked)
    base = mine.settings.base_strategy
    if mine is selector:
        chosen = _shuffled(model, deployments)
    else:
        chosen = await original(
            base, selector, model, deployments, messages, input, request_kwargs, *args, **kwargs
        )
    return _watched(mine, chosen, asked)


def pick_sync(
    original: Callable[..., Any],
    strategy: str,
    selector: Any,
    model: str,
    deployments: list[Entry],
    messages: Any,
    input: Any,
    request_kwargs: dict[str, Any] | None,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """The same for LiteLLM's synchronous calls."""
    mine = ours(selector)
    if mine is None:
        return original(
            strategy, selector, model, deployments, messages, input, request_kwargs, *args, **kwargs
        )
    if not isinstance(deployments, Candidates):
        return deployments[0]
    asked = _asked(model, deployments, messages, input)
    if mine.settings.mode != "shadow":
        return mine.select_now(**asked)
    base = mine.settings.base_strategy
    if mine is selector:
        chosen = _shuffled(model, deployments)
    else:
        chosen = original(
            base, selector, model, deployments, messages, input, request_kwargs, *args, **kwargs
        )
    return _watched(mine, chosen, asked)


def _selector(core: Any, step: Mapping[str, Any], request: Mapping[str, Any]) -> Any:
    scope = str(step.get("scope"))
    if scope == "override":
        own = own_selector(core, str(step["model"]))
        if held(ours(own), request):
            return own
    return core._selectors.selector_for(str(step.get("strategy")), scope, step.get("group"), request)


def _entries(core: Any) -> Entries:
    known = core.__dict__.get(_ENTRIES)
    if known is None:
        known = core.__dict__[_ENTRIES] = Entries()
    return known  # type: ignore[no-any-return]


def _asked(model: str, candidates: Candidates, messages: Any, input: Any) -> dict[str, Any]:
    """The question in our selector's words."""
    return {
        "model": model,
        "healthy": candidates.known,
        "messages": messages,
        "input": input,
        "request_kwargs": candidates.request,
    }


def _watched(mine: RouteBalanceSelector, chosen: Any, asked: Mapping[str, Any]) -> Any:
    """What LiteLLM's own strategy has chosen in shadow mode, after we have looked on; None is its refusal."""
    if chosen is not None:
        id_ = chosen["model_info"]["id"]
        known = next((entry for entry in asked["healthy"] if entry["model_info"]["id"] == id_), chosen)
        mine.watch(known, **asked)
    return chosen


def _shuffled(model: str, candidates: Candidates) -> Any:
    """What simple-shuffle picks, which LiteLLM's core does by itself where it is configured."""
    from litellm.router_strategy.simple_shuffle import simple_shuffle

    left: list[Entry] = candidates
    if candidates.core._plain.get("enable_weighted_failover"):
        # Which ones a failover leaves out, the core knows of its own simple-shuffle alone.
        accounting = worker().accounting
        failed = accounting.tried(accounting.call_id(candidates.request))
        left = [one for one in candidates if one["model_info"]["id"] not in failed] or candidates
    return simple_shuffle(
        resolve_model_alias=candidates.core._hosted._core_get_model_from_alias,
        healthy_deployments=left,
        model=model,
        request_kwargs=candidates.request,
    )
