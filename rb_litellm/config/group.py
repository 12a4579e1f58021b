"""The settings of one router or routing group."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from rb_litellm.config.cascade import BestOfSettings, CascadeSettings
from rb_litellm.config.decision import (
    AdmissionSettings,
    AffinitySettings,
    AgentSettings,
    ExplorationSettings,
    HoldSettings,
    PriceSettings,
    SloSettings,
    TargetSettings,
)
from rb_litellm.config.errors import SettingsError, explain
from rb_litellm.config.grades import FeedbackSettings, ShadowEvaluationSettings
from rb_litellm.config.overrides import OverrideSettings
from rb_litellm.config.predictor import PredictorSetting
from rb_litellm.config.state import LeaseSettings, RedisSettingsArgs, ScrapeSettings
from rb_litellm.config.values import (
    NormSetting,
    ObjectiveName,
    QualityNormSetting,
    RequestsPerMinute,
    Settings,
    Usd,
    WeightsSetting,
)
from rb_litellm.core.decision.scoring import PRESETS, STANDARD


class RouteBalanceSettings(Settings):
    """`routing_strategy_args` of a router or routing group with `routing_strategy: routebalance`."""

    weights: WeightsSetting = Field(
        default=PRESETS[STANDARD],
        description="A preset (standard, balanced, quality, latency, cost, cheapest) or {quality, latency, "
        "cost} summing to 1.",
    )
    mode: Literal["active", "shadow"] = Field(
        default="active",
        description="shadow: `base_strategy` serves; what would have been chosen is only recorded.",
    )
    base_strategy: Literal[
        "simple-shuffle",
        "least-busy",
        "latency-based-routing",
        "usage-based-routing-v2",
        "cost-based-routing",
    ] = Field(default="simple-shuffle", description="LiteLLM's strategy that serves in shadow mode.")
    quality_norm: QualityNormSetting = "raw"
    norm: NormSetting = Field(
        default="absolute",
        description="absolute: the order of two candidates depends on no third. paper: relative to the "
        "largest latency and cost of the candidates.",
    )
    objective: ObjectiveName = Field(
        default="score", description="score: relative to the candidates. priced: in US dollars."
    )
    prices: PriceSettings = PriceSettings()
    targets: TargetSettings | None = Field(
        default=None, description="Bounds on many requests together, in place of weights."
    )
    usd_per_day: Usd | None = Field(
        default=None,
        description="What a day's requests should cost: from 80% of it on the weights shift to cost.",
    )
    requests_per_minute: RequestsPerMinute | None = Field(
        default=None,
        description="For how many requests a minute the weights hold: from 80% on they shift to cost.",
    )
    slo: SloSettings = SloSettings()
    max_cost_usd: Usd | None = Field(default=None, description="The most that one request may cost.")
    admission: AdmissionSettings | None = None
    hold: HoldSettings | None = Field(
        default=None,
        description="Wait in the proxy where admission or a strict limit would refuse for the present load.",
    )
    affinity: AffinitySettings | None = None
    agents: AgentSettings | None = Field(
        default=None,
        description="Loops of tool calls stay where their prefix is cached, and where they can be read.",
    )
    cascade: CascadeSettings | None = Field(
        default=None,
        description="Answer again with another model where a judge calls an answer poor and it pays.",
    )
    best_of: BestOfSettings | None = Field(
        default=None,
        description="Ask one model for several answers at once where a judge's pick of them pays.",
    )
    exploration: ExplorationSettings = ExplorationSettings()
    overrides: OverrideSettings = OverrideSettings()
    member_access: Literal["group", "key"] = Field(
        default="group",
        description="group: who may call the routing group may be sent to any member. "
        "key: only to members that the key and team may call directly.",
    )
    predictor: PredictorSetting = Field(
        default="default",
        description="default: the one that ships. none: means by size and price alone. {path: DIR}: one of "
        "`routebalance train`, for the models that it was taught.",
    )
    baseline: str | None = Field(
        default=None, description="Model group that costs, quality and latency are compared with in reports."
    )
    redis: RedisSettingsArgs = RedisSettingsArgs()
    scrape: ScrapeSettings | None = None
    feedback: FeedbackSettings | None = None
    shadow_evaluation: ShadowEvaluationSettings | None = None
    lease: LeaseSettings = LeaseSettings()
    seed: int | None = Field(default=None, description="Fixes the tie breaking, for tests.")

    @model_validator(mode="after")
    def _keeps_access(self) -> RouteBalanceSettings:
        if self.mode == "shadow" and self.member_access == "key":
            raise ValueError(
                "member_access: key needs mode: active; in shadow mode base_strategy serves, which sends a "
                "request to any member"
            )
        return self

    @model_validator(mode="after")
    def _answers_itself(self) -> RouteBalanceSettings:
        for name in ("cascade", "best_of"):
            if self.mode == "shadow" and getattr(self, name) is not None:
                raise ValueError(f"{name} needs mode: active; in shadow mode base_strategy serves, once")
        return self


def parse_settings(args: Mapping[str, Any] | None, where: str) -> RouteBalanceSettings:
    """Validate `routing_strategy_args`; `where` names them in an error.

    Raises:
        SettingsError: listing every setting that is wrong, its value and what is allowed.
    """
    try:
        return RouteBalanceSettings.model_validate({} if args is None else args)
    except ValidationError as error:
        raise SettingsError(explain(error, where, RouteBalanceSettings)) from None
