"""What is known of each deployment: its row, model, prices and tier, read once from its LiteLLM entry.

A pick hands over up to thousands of deployment dicts; reading prices and priors out of each for
every request would cost more than the decision. Facts are kept per deployment id and read again
when the entry they came from has changed.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from rb_litellm.config import parse_deployment
from rb_litellm.core.fleet import Deployment
from rb_litellm.excerpt import MAX_NAME
from rb_litellm.litellm_adapter.shared.entries.facts import (
    is_wildcard,
    metrics_of,
    read_deployment,
    whole_number,
    with_credential,
)

MAX_BEHIND = 1024
"""Models behind wildcards whose facts are kept; the least recently asked for is read again when met."""
MAX_DEPLOYMENTS = 65_536
"""Facts kept of those that were met lately, and as many of those before; beyond it the oldest are forgotten
and read again when met."""
FORGET_S = 3600.0
"""What no request could go to for so long is forgotten, within as long again: deployments that are deleted,
and made anew under other ids, must not be kept with their credentials for ever."""

_Held = tuple[object, object, Deployment, str | None]
"""`model_info` and `litellm_params` of LiteLLM's entry, what was read of them, and where its metrics are."""
_log = logging.getLogger("rb_litellm")


class Catalog:
    """Facts by deployment id, bounded by MAX_DEPLOYMENTS and FORGET_S. Times in s on one monotonic clock."""

    def __init__(self) -> None:
        self._known: dict[str, _Held] = {}
        self._before: dict[str, _Held] = {}
        """Those of them that were not met since the last turn."""
        self._turned_s: float | None = None
        self._behind: OrderedDict[tuple[str, object], _Held] = OrderedDict()
        """By id and model, of deployments that serve whatever model is asked for by name."""
        self._warned: set[str] = set()
        self._default_parallel: int | None = None
        self.any_levels = False
        """Whether a deployment was ever met that has levels of effort."""

    def default_parallel(self, most: object) -> None:
        """How many requests at once a Router lets a deployment have that states nothing itself."""
        found = whole_number(most)
        if found != self._default_parallel:
            self._default_parallel = found
            self._known.clear()
            self._before.clear()
            self._behind.clear()

    def age(self, now: float) -> bool:
        """Forget what was not met in FORGET_S, and whether that was done; cheap, and called now and then."""
        if self._turned_s is None:
            self._turned_s = now
        elif now - self._turned_s >= FORGET_S:
            self._known, self._before, self._turned_s = {}, self._known, now
            for key in [key for key in self._behind if key[0] not in self._before]:
                del self._behind[key]
            return True
        return False

    def met(self) -> set[str]:
        """Ids of the deployments that are not forgotten."""
        return {*self._known, *self._before}

    def facts(self, deployments: Sequence[Mapping[str, Any]]) -> list[Deployment]:
        """Facts of the given LiteLLM entries, in their order. Never raises for an entry with an id."""
        found, known = [], self._known
        for entry in deployments:
            info = entry["model_info"]
            held = known.get(info["id"])
            if held is None or held[0] is not info or held[1] is not entry["litellm_params"]:
                (held,) = self._held((entry,))
            found.append(held[2])
        return found

    def group_of(self, deployment: str) -> str | None:
        """Model group of a deployment that was met, by its id."""
        held = self._known.get(deployment) or self._before.get(deployment)
        return None if held is None else held[2].group

    def name_of(self, deployment: str) -> str:
        """What people call a deployment that was met, by its id; else the id."""
        held = self._known.get(deployment) or self._before.get(deployment)
        return deployment if held is None else held[2].name

    def metrics_urls(self, deployments: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Where the self-hosted ones among them have their metrics, by deployment id."""
        return {held[2].id: held[3] for held in self._held(deployments) if held[3] is not None}

    def check(self, deployments: Sequence[Mapping[str, Any]]) -> None:
        """Read all entries strictly, as at start.

        Raises:
            SettingsError: a deployment's `model_info.routebalance` is wrong; names deployment and setting.
        """
        for entry in deployments:
            info, group = entry.get("model_info") or {}, entry.get("model_name")
            parse_deployment(info.get("routebalance"), f"model_info.routebalance of {group}")

    def _held(self, deployments: Sequence[Mapping[str, Any]]) -> list[_Held]:
        known = self._known
        result = []
        for entry in deployments:
            info = entry["model_info"]
            held = known.get(info["id"])
            if held is None and (held := self._before.pop(info["id"], None)) is not None:
                known[info["id"]] = held
            # LiteLLM replaces these dicts when a deployment is edited. Else it hands out the same ones, or,
            # from a core in Rust, equal ones; then the facts stay the same object, which batches go by.
            params = entry["litellm_params"]
            if held is None or not _same(held[0], info) or not _same(held[1], params):
                held = self._read_behind(entry) if is_wildcard(entry) else self._read(entry)
            elif held[1] is not params:
                # Dicts of a Router lead back to it: one that was discarded would be kept by them.
                held = known[info["id"]] = (info, params, held[2], held[3])
            result.append(held)
        return result

    def _read_behind(self, entry: Mapping[str, Any]) -> _Held:
        """The same object for the same model: requests for several models may take turns."""
        info, params = entry["model_info"], entry["litellm_params"]
        model = params.get("model")
        if len(str(model)) > MAX_NAME:
            # The parameters have the name in full: what nobody asks for in earnest is read each time.
            return self._read(entry)
        key = info["id"], model
        held = self._behind.get(key)
        if held is None or not _same(held[0], info) or not _same(held[1], params):
            held = self._behind[key] = self._read(entry)
            if len(self._behind) > MAX_BEHIND:
                self._behind.popitem(last=False)
        self._behind.move_to_end(key)
        self._known[info["id"]] = held
        return held

    def _read(self, entry: Mapping[str, Any]) -> _Held:
        info, params = entry["model_info"], entry["litellm_params"]
        held = self._known.get(info["id"])
        facts = read_deployment(entry, self._warn_once, self._default_parallel)
        self.any_levels = self.any_levels or bool(facts.levels)
        if len(self._known) >= MAX_DEPLOYMENTS and held is None:
            self._known.pop(next(iter(self._known)))
        self._known[info["id"]] = (
            info,
            params,
            facts,
            metrics_of(facts.model, info, with_credential(params)),
        )
        return self._known[info["id"]]

    def _warn_once(self, subject: str, message: str) -> None:
        if subject not in self._warned and len(self._warned) < MAX_DEPLOYMENTS:
            self._warned.add(subject)
            _log.warning("%s", message)


def _same(one: object, other: object) -> bool:
    return one is other or one == other
