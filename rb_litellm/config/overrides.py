"""Who may set what above the settings of a group, and within which bounds."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from rb_litellm.config.errors import shown
from rb_litellm.config.values import Settings
from rb_litellm.suggestion import did_you_mean


class Cap(Settings):
    """Bounds of one control for whoever is more specific than the one who states them."""

    min: float | None = None
    max: float | None = None


ControlName = Literal[
    "weights",
    "quality_norm",
    "objective",
    "usd_per_quality",
    "usd_per_second",
    "ttft_ms",
    "tpot_ms",
    "e2e_ms",
    "quality_min",
    "theta",
    "slo_mode",
    "max_cost_usd",
    "priority",
    "cascade",
    "best_of",
    "targets",
    "usd_per_day",
    "requests_per_minute",
]
CapName = Literal[
    "weights.quality",
    "weights.latency",
    "weights.cost",
    "usd_per_quality",
    "usd_per_second",
    "ttft_ms",
    "tpot_ms",
    "e2e_ms",
    "quality_min",
    "theta",
    "max_cost_usd",
    "priority",
    "targets.cost_usd_per_1k",
    "targets.e2e_p95_s",
    "targets.quality_min",
    "usd_per_day",
    "requests_per_minute",
]


def _all_or_names(value: object) -> object:
    names = get_args(ControlName)
    listed = value if isinstance(value, (list, tuple)) else None
    wrong = [name for name in listed or () if name not in names]
    if value != "all" and (listed is None or wrong):
        told = f"{shown(wrong[0])} is no control; {did_you_mean(str(wrong[0]), names)}" if wrong else ""
        raise ValueError(f"{told}allowed are all, or a list of {', '.join(names)}")
    return value


ControlNames = Annotated[Literal["all"] | tuple[ControlName, ...], BeforeValidator(_all_or_names)]
"""All controls, or some by name."""


class OverrideSettings(Settings):
    """Who may set which control above these settings: a team, a key (by their metadata), a request."""

    team: ControlNames = "all"
    key: ControlNames = "all"
    request: ControlNames = Field(
        default="all",
        description="`all` lets a request lower its LiteLLM priority, but not raise it above what its key, "
        "team or no priority gives it: name `priority` to allow that.",
    )
    refused: Literal["reject", "ignore"] = Field(
        default="reject", description="What happens to a request that sets what it may not: 403, or ignored."
    )
    caps: dict[CapName, Cap] = Field(
        default_factory=dict, description="Bounds of what a team, a key or a request may set."
    )
