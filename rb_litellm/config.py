"""The settings of RouteBalance: everything `routing_strategy_args` may hold, and nothing else.

Every field is described here once; errors name the setting, the value and what is allowed. Settings
of one deployment stand with it in `model_info.routebalance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from rb_litellm.core.scoring import PRESETS, Weights


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it, its value and what is allowed."""


def _weights(value: object) -> object:
    if isinstance(value, Weights):
        return value
    if isinstance(value, str):
        if value not in PRESETS:
            raise ValueError(f"unknown preset {value!r}; allowed are {', '.join(PRESETS)}")
        return PRESETS[value]
    if isinstance(value, Mapping):
        unknown = sorted(set(map(str, value)) - {"quality", "latency", "cost"})
        missing = sorted({"quality", "latency", "cost"} - set(value))
        if unknown or missing:
            raise ValueError(
                "weights need exactly quality, latency and cost"
                + (f"; unknown: {', '.join(unknown)}" if unknown else "")
                + (f"; missing: {', '.join(missing)}" if missing else "")
            )
        numbers = {name: _number(f"weights.{name}", amount) for name, amount in value.items()}
        return Weights(**numbers)
    raise ValueError(
        f"weights are {value!r}; allowed is a preset ({', '.join(PRESETS)}) "
        "or a mapping of quality, latency and cost that sums to 1"
    )


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} is {value!r}; allowed is a number from 0 to 1")
    return float(value)


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class PredictorSettings(_Settings):
    """Where the trained models of quality and output length are, and whom they speak of."""

    path: str = Field(description="Folder written by `routebalance train`.")
    models: dict[str, str] = Field(
        default_factory=dict,
        description="Model group (or LiteLLM model name) of this proxy -> model name in the training data. "
        "Names that are equal need no entry.",
    )


class RedisSettingsArgs(_Settings):
    """How workers share their load; empty takes LiteLLM's own Redis settings."""

    enabled: bool = Field(default=True, description="false keeps every worker to its own load.")
    url: str | None = Field(default=None, description="redis://, rediss:// or unix:// URL.")
    namespace: str = Field(
        default="default", pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Fleets that share a Redis."
    )
    interval_ms: int = Field(default=200, ge=100, le=5000, description="Time between exchanges.")
    ttl_s: float = Field(default=5.0, ge=1.0, le=60.0, description="A silent worker's load counts this long.")


class ScrapeSettings(_Settings):
    """Reading `/metrics` of self-hosted deployments for traffic that does not pass through here."""

    interval_s: float = Field(default=5.0, ge=1.0, le=300.0)


class LeaseSettings(_Settings):
    """When an attempt that nothing ever closed stops counting: predicted E2E x factor, within bounds."""

    factor: float = Field(default=4.0, ge=1.0, le=100.0)
    floor_s: float = Field(default=30.0, gt=0.0)
    ceiling_s: float = Field(default=900.0, gt=0.0)


class RouteBalanceSettings(_Settings):
    """`routing_strategy_args` of a router or routing group with `routing_strategy: routebalance`."""

    weights: Annotated[Weights, BeforeValidator(_weights)] = Field(
        default=PRESETS["balanced"],
        description="A preset (balanced, quality, latency, cost) or {quality, latency, cost} summing to 1.",
    )
    quality_norm: Literal["raw", "minmax", "scaled"] = "raw"
    member_access: Literal["group", "key"] = Field(
        default="group",
        description="group: who may call the routing group may be sent to any member. "
        "key: only to members that the key and team may call directly.",
    )
    predictor: PredictorSettings | None = None
    redis: RedisSettingsArgs = RedisSettingsArgs()
    scrape: ScrapeSettings | None = None
    lease: LeaseSettings = LeaseSettings()
    seed: int | None = Field(default=None, description="Fixes the tie breaking, for tests.")


class DeploymentSettings(_Settings):
    """`model_info.routebalance` of one deployment: what is known of it before it was measured."""

    quality: float | None = Field(default=None, ge=0.0, le=1.0, description="Mean answer quality.")
    output_tokens: float | None = Field(default=None, gt=0.0, description="Mean length of an answer.")
    tpot_ms: float | None = Field(default=None, gt=0.0, description="Time per output token at low load.")
    ttft_ms: float | None = Field(default=None, gt=0.0, description="Time to first token, short prompt.")
    max_num_seqs: int | None = Field(default=None, ge=1, description="Sequences that run at once.")
    tier: str | None = Field(default=None, description="Deployments of one tier learn from each other.")
    hosted: bool | None = Field(default=None, description="true: an API without a visible queue.")
    scrape_url: str | None = Field(
        default=None, description="Where its /metrics are, if not beside api_base."
    )


def parse_settings(args: Mapping[str, Any] | None, where: str) -> RouteBalanceSettings:
    """Validate `routing_strategy_args`; `where` names them in an error.

    Raises:
        SettingsError: listing every setting that is wrong, its value and what is allowed.
    """
    try:
        return RouteBalanceSettings.model_validate({} if args is None else args)
    except ValidationError as error:
        raise SettingsError(explain(error, where, RouteBalanceSettings)) from None


def parse_deployment(info: object, where: str) -> DeploymentSettings:
    """Validate one deployment's `model_info.routebalance`; None means nothing is known of it.

    Raises:
        SettingsError: listing every setting that is wrong, its value and what is allowed.
    """
    try:
        return DeploymentSettings.model_validate({} if info is None else info)
    except ValidationError as error:
        raise SettingsError(explain(error, where, DeploymentSettings)) from None


def explain(error: ValidationError, where: str, model: type[BaseModel]) -> str:
    """One line per wrong setting: its full name, what is allowed, and the value that was given."""
    lines = []
    for problem in error.errors():
        name = ".".join([where, *map(str, problem["loc"])])
        value = "hidden" if "password" in name else repr(problem["input"])
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(_fields_at(model, problem["loc"][:-1]))
            lines.append(f"{name}: unknown setting (value {value}); allowed are {allowed}")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            lines.append(f"{name}: {message} (value {value})")
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    for part in path:
        annotation = model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        options = [annotation, *getattr(annotation, "__args__", ())]
        nested = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not nested:
            return ["(see the documentation)"]
        model = nested[0]
    return list(model.model_fields)
