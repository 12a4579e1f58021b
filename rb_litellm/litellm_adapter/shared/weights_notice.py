"""One line at start for whoever states `weight`: what it does where a joint score decides."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

_log = logging.getLogger("rb_litellm")
_MEANING = (
    "RouteBalance: `weight` shares requests out among deployments of one model group that are alike in "
    "predicted quality and price, and 0 keeps one out while others are there; between different models the "
    "joint score decides, whatever they weigh"
)


def meaning_of_weights(deployments: Sequence[Mapping[str, Any]]) -> str | None:
    """What to tell of the weights in these LiteLLM entries; None where they say nothing."""
    weights: dict[str, list[Any]] = {}
    for entry in deployments:
        stated = (entry.get("litellm_params") or {}).get("weight")
        weights.setdefault(str(entry.get("model_name", "")), []).append(stated)
    if all(len(set(its)) == 1 for its in weights.values()):
        return None
    partly = sorted(group for group, its in weights.items() if None in its and set(its) != {None})
    told = f"; in {', '.join(partly)} the deployments without a weight count as 1" if partly else ""
    return f"{_MEANING}{told}."


class WeightsNotice:
    """Says it once, and again when there is something else to say."""

    def __init__(self) -> None:
        self._said: str | None = None

    def tell(self, deployments: Sequence[Mapping[str, Any]]) -> None:
        """A Router with these entries will be served."""
        said = meaning_of_weights(deployments)
        if said is not None and said != self._said:
            self._said = said
            _log.warning("%s", said)
