"""Controls: what a team, a key or a request asks of routing, and the plan that follows under the settings.

Levels, the later wins: router or routing group (`routing_strategy_args`), team and key (their LiteLLM
metadata), request (body, then headers). `overrides` in the settings says who may set what and within which
bounds; a team or key may in turn fix what it sets, and bound it, against everything more specific.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from rb_litellm.config import (
    Cap,
    CapName,
    ControlName,
    ControlNames,
    Milliseconds,
    ObjectiveName,
    QualityNormSetting,
    RequestsPerMinute,
    RouteBalanceSettings,
    SettingsError,
    TargetSettings,
    Usd,
    WeightsSetting,
    explain,
    shown,
)
from rb_litellm.core.decision.scoring import JointScore, Norm, Objective, Priced, Weights
from rb_litellm.core.limits.slo import Mode, Slo
from rb_litellm.core.targets.stated import Targets

Level = Literal["team", "key", "request"]
_Fixed = Mapping[ControlName, Level]
_Caps = Sequence[tuple[str, Mapping[CapName, Cap]]]
"""Bounds in force, each with the words for who states them."""
MAX_PRIORITY = 1_000_000
NAMES: tuple[ControlName, ...] = get_args(ControlName)
MAX_PLANS = 1024
"""Combinations of controls whose plan is cached; the least recently used is dropped."""


class Controls(BaseModel):
    """The controls of a request, by the names of its headers and body; None where it sets none."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)

    weights: WeightsSetting | None = None
    quality_norm: QualityNormSetting | None = None
    objective: ObjectiveName | None = None
    usd_per_quality: float | None = Field(default=None, ge=0.0, le=1e6)
    usd_per_second: float | None = Field(default=None, ge=0.0, le=1e6)
    ttft_ms: Milliseconds | None = None
    tpot_ms: Milliseconds | None = None
    e2e_ms: Milliseconds | None = None
    quality_min: float | None = Field(default=None, ge=0.0, le=1.0)
    theta: float | None = Field(default=None, gt=0.0, lt=1.0)
    slo_mode: Mode | None = None
    max_cost_usd: Usd | None = None
    priority: int | None = Field(default=None, ge=0, le=MAX_PRIORITY)
    """LiteLLM's priority; 0 is the most important."""
    cascade: Literal["allow", "never"] | None = None
    """Whether it may be answered a second time by another model; counts where the settings have cascades."""
    best_of: Literal["allow", "never"] | None = None
    """Whether one model may be asked for several answers; counts where the settings have `best_of`."""
    targets: TargetSettings | None = None
    """Of a team or key alone: what one request asks for cannot be reached over many."""
    usd_per_day: Usd | None = None
    """Of a team or key alone, too,"""
    requests_per_minute: RequestsPerMinute | None = None
    """and this."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: object) -> object:
        if isinstance(value, bool):
            raise ValueError("true and false are no values of a control")
        return value

    def given(self) -> dict[ControlName, Any]:
        """The controls that are set, by name."""
        return {name: value for name in NAMES if (value := getattr(self, name)) is not None}


def _items(value: object) -> object:
    # A mapping cannot be hashed, and plans are kept by what they are made from.
    return tuple(value.items()) if isinstance(value, Mapping) else value


class LevelControls(Controls):
    """What the metadata of a team or key may hold under `routebalance`."""

    fixed: ControlNames = Field(default=(), description="Controls that nothing more specific may change.")
    caps: Annotated[tuple[tuple[CapName, Cap], ...], BeforeValidator(_items)] = Field(
        default=(), description="Bounds of what anything more specific may set."
    )


@dataclass(frozen=True, slots=True)
class Given:
    """The controls that apply to one request, by level."""

    team: LevelControls | None = None
    key: LevelControls | None = None
    request: Controls | None = None


NOTHING = Given()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a request will be decided."""

    objective: Objective
    slo: Slo | None
    """None where no limit is set."""
    max_cost_usd: float | None
    priority: int | None = None
    sources: Mapping[ControlName, Level] = field(default_factory=dict)
    """The level that each control comes from, if not from the settings."""
    refused: tuple[str, ...] = ()
    """One message for each control that was set and may not be."""
    bounded: tuple[str, ...] = ()
    """The same for what a team or key sets beyond bounds: its bounds count, and nobody is refused for it."""
    targets: Targets | None = None
    """What steers the weights in place of `objective`; None where nobody sets any, or weights go before."""
    usd_per_day: float | None = None
    """What the day's requests of whoever sets it should cost, in USD."""
    requests_per_minute: int | None = None
    """How many requests of a minute, of whoever sets it, the weights hold for."""
    cascade: bool = False
    """Whether it may be answered a second time by another model,"""
    best_of: bool = False
    """and several times at once by one."""


class Planner:
    """Makes plans under one set of settings; caches the last MAX_PLANS."""

    def __init__(self, settings: RouteBalanceSettings) -> None:
        self._settings = settings
        self._plans: OrderedDict[Given, Plan] = OrderedDict()
        self.default = _plan(settings, NOTHING)
        """The plan of a request without controls."""
        self.rejects = settings.overrides.refused == "reject"
        """Whether a request that sets what it may not is refused; else the control is ignored."""

    def plan(self, given: Given | None) -> Plan:
        """The plan for these controls; those that may not be set are left out and listed in `refused`."""
        if given is None or given is NOTHING:
            return self.default
        plan = self._plans.get(given)
        if plan is None:
            plan = self._plans[given] = _plan(self._settings, given)
            if len(self._plans) > MAX_PLANS:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(given)
        return plan


def parse_controls(raw: object, where: str, model: type[Controls] = Controls) -> Controls:
    """Validate controls; `where` names their place in an error.

    Raises:
        SettingsError: listing every control that is wrong, its value and what is allowed.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise SettingsError(explain(error, where, model, _OF_MANY if model is Controls else ())) from None
    except (OverflowError, RecursionError, ValueError) as error:
        raise SettingsError(f"{where}: cannot be read ({type(error).__name__})") from None


def _plan(settings: RouteBalanceSettings, given: Given) -> Plan:
    values: dict[ControlName, Any] = {
        "weights": settings.weights,
        "quality_norm": settings.quality_norm,
        "objective": settings.objective,
        "usd_per_quality": settings.prices.usd_per_quality,
        "usd_per_second": settings.prices.usd_per_second,
        "ttft_ms": settings.slo.ttft_ms,
        "tpot_ms": settings.slo.tpot_ms,
        "e2e_ms": settings.slo.e2e_ms,
        "quality_min": settings.slo.quality_min,
        "theta": settings.slo.theta,
        "slo_mode": settings.slo.mode,
        "max_cost_usd": settings.max_cost_usd,
        "priority": None,
        "cascade": None if settings.cascade is None else settings.cascade.default,
        "best_of": None if settings.best_of is None else settings.best_of.default,
        "targets": settings.targets,
        "usd_per_day": settings.usd_per_day,
        "requests_per_minute": settings.requests_per_minute,
    }
    sources: dict[ControlName, Level] = {}
    refused: list[str] = []
    bounded: list[str] = []
    caps: list[tuple[str, Mapping[CapName, Cap]]] = [("here", settings.overrides.caps)]
    fixed: dict[ControlName, Level] = {}
    levels: tuple[tuple[Level, Controls | None], ...] = (
        ("team", given.team),
        ("key", given.key),
        ("request", given.request),
    )
    for level, controls in levels:
        if controls is None:
            continue
        for name, value in controls.given().items():
            problem = _forbidden(settings, level, name, value, fixed, values)
            if problem is not None:
                refused.append(problem)
                continue
            problem = _beyond(caps, name, value)
            if problem is not None:
                (refused if level == "request" else bounded).append(problem)
                value = _within(caps, name, value)
            if value is not None:
                values[name], sources[name] = value, level
        if isinstance(controls, LevelControls):
            caps.append((f"by the {level}", dict(controls.caps)))
            named = NAMES if controls.fixed == "all" else controls.fixed
            fixed.update({name: level for name in named if name not in fixed})
    return Plan(
        _objective(values, settings.norm),
        _slo(settings, values),
        values["max_cost_usd"],
        values["priority"],
        sources,
        tuple(refused),
        tuple(bounded),
        _targets(values, sources),
        values["usd_per_day"],
        values["requests_per_minute"],
        settings.cascade is not None and values["cascade"] == "allow",
        settings.best_of is not None and values["best_of"] == "allow",
    )


_OF_MANY: tuple[ControlName, ...] = ("targets", "usd_per_day", "requests_per_minute")
"""Controls of many requests together, which no single one may set."""
_WEIGHTS: tuple[ControlName, ...] = ("weights", "objective", "usd_per_quality", "usd_per_second")
"""Controls that say the same as targets in another way."""


def _targets(values: Mapping[ControlName, Any], sources: Mapping[ControlName, Level]) -> Targets | None:
    """The targets, unless a more specific level sets weights."""
    if values["targets"] is None:
        return None
    rank = {None: 0, "team": 1, "key": 2, "request": 3}
    weighed = max(rank[sources.get(name)] for name in _WEIGHTS)
    stated: Targets = values["targets"].stated()
    return None if weighed > rank[sources.get("targets")] else stated


def _forbidden(
    settings: RouteBalanceSettings,
    level: Level,
    name: ControlName,
    value: Any,
    fixed: _Fixed,
    above: Mapping[ControlName, Any],
) -> str | None:
    """Why this level may not set the control at all, or None; `above` are the values of the levels above."""
    if name in fixed:
        return f"{name}: fixed by the {fixed[name]} (value {_shown(value)})"
    if name in _WEIGHTS and "targets" in fixed and above["targets"] is not None:
        return f"{name}: targets are fixed by the {fixed['targets']} (value {_shown(value)})"
    if name == "targets" and (held := next((n for n in _WEIGHTS if n in fixed), None)) is not None:
        return f"{name}: {held} is fixed by the {fixed[held]} (value {_shown(value)})"
    if name in _OF_MANY and level == "request":
        return f"{name}: a request may not set it (value {_shown(value)}); its key or team may"
    allowed = getattr(settings.overrides, level)
    if allowed != "all" and name not in allowed:
        may = ", ".join(allowed) or "nothing"
        return f"{name}: a {level} may not set it (value {_shown(value)}); it may set {may}"
    if name == "priority" and level == "request" and allowed == "all" and settings.admission is not None:
        waits = settings.admission.wait_limit_s
        if waits(value) > waits(above["priority"]):
            return f"{name}: a request may lower it only (value {value})"
    return None


def _beyond(caps: _Caps, name: ControlName, value: Any) -> str | None:
    """Which bound the value is beyond; None if it is within all of them."""
    for where, bounds in caps:
        if name == "targets" and any(part in bounds for part in _PARTS):
            return f"{name}: weights are bounded {where}, and targets would pass them by"
        for part, number in _numbers(name, value):
            cap = bounds.get(part)
            if cap is not None and cap.min is not None and number < cap.min:
                return f"{part}: must be at least {cap.min:g} {where} (value {number:g})"
            if cap is not None and cap.max is not None and number > cap.max:
                return f"{part}: must be at most {cap.max:g} {where} (value {number:g})"
    return None


def _within(caps: _Caps, name: ControlName, value: Any) -> Any:
    """The bound to use instead, of several the one stated first; None for weights and targets: they do not
    count."""
    if not isinstance(value, (int, float)):
        return None
    number = float(value)
    for _, bounds in reversed(caps):
        cap = bounds.get(name)  # type: ignore[arg-type]
        if cap is not None:
            low = number if cap.min is None else max(number, cap.min)
            number = low if cap.max is None else min(low, cap.max)
    return int(number) if isinstance(value, int) else number


_PARTS: Mapping[CapName, str] = {
    "weights.quality": "quality",
    "weights.latency": "latency",
    "weights.cost": "cost",
}


def _numbers(name: ControlName, value: Any) -> list[tuple[CapName, float]]:
    if isinstance(value, Weights):
        return [(cap, getattr(value, part)) for cap, part in _PARTS.items()]
    if isinstance(value, TargetSettings):
        return [(f"targets.{name}", bound) for name, bound in value.stated().given().items()]  # type: ignore[misc]
    return [(name, value)] if isinstance(value, (int, float)) else []  # type: ignore[list-item]


def _objective(values: Mapping[ControlName, Any], norm: Norm) -> Objective:
    if values["objective"] == "priced":
        return Priced(values["usd_per_quality"], values["usd_per_second"])
    return JointScore(values["weights"], values["quality_norm"], norm)


def _slo(settings: RouteBalanceSettings, values: Mapping[ControlName, Any]) -> Slo | None:
    slo = Slo(
        ttft_s=_seconds(values["ttft_ms"]),
        tpot_s=_seconds(values["tpot_ms"]),
        e2e_s=_seconds(values["e2e_ms"]),
        quality_min=values["quality_min"],
        max_cost_usd=values["max_cost_usd"],
        theta=values["theta"],
        mode=values["slo_mode"],
        relax=settings.slo.relax,
        steps=settings.slo.steps,
        penalty=settings.slo.penalty,
    )
    return slo if slo.asks else None


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000.0


def _shown(value: Any) -> str:
    if isinstance(value, Weights):
        return f"{value.quality:g},{value.latency:g},{value.cost:g}"
    return shown(value.stated().given() if isinstance(value, TargetSettings) else value)
