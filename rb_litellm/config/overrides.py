"""Who may set what above the settings of a group, and within which bounds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rb_litellm.config.values import Settings


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


class OverrideSettings(Settings):
    """Who may set which control above these settings: a team, a key (by their metadata), a request."""

    team: Literal["all"] | tuple[ControlName, ...] = "all"
    key: Literal["all"] | tuple[ControlName, ...] = "all"
    request: Literal["all"] | tuple[ControlName, ...] = Field(
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
