"""The settings of RouteBalance: everything that `routing_strategy_args` may hold, and nothing else.

Every field is described here once. Errors name the setting, its value and what is allowed. The settings of
one deployment are in its `model_info.routebalance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from rb_litellm.core.admission import wait_limit
from rb_litellm.core.affinity import AffinityRule
from rb_litellm.core.exploration import ExplorationRule
from rb_litellm.core.scoring import PRESETS, Weights
from rb_litellm.core.slo import RELAX, STEPS, LimitName, Mode
from rb_litellm.core.targets.stated import Maximised, Targets
from rb_litellm.redaction import without_secrets
from rb_litellm.suggestion import did_you_mean

_MOST = 32
"""Wrong settings that one error lists."""
_SHOWN = 200
"""Characters of a wrong value that an error repeats."""
_READ = 4_096
"""Characters of it in which an address is looked for, whose password is not repeated."""
_SECRET = ("password", "secret", "api_key")
"""Settings whose values are never repeated, by a part of their names."""


class SettingsError(ValueError):
    """A setting that cannot be used; the message names it, its value and what is allowed."""


def _weights(value: object) -> object:
    if isinstance(value, Weights):
        return value
    if isinstance(value, str):
        if value in PRESETS:
            return PRESETS[value]
        parts = value.split(",")
        if len(parts) != 3:
            raise ValueError(
                f"unknown preset {shown(value)}; {did_you_mean(value, PRESETS)}allowed are "
                f"{', '.join(PRESETS)}, or three numbers QUALITY,LATENCY,COST"
            )
        value = dict(zip(("quality", "latency", "cost"), map(_parsed, parts), strict=True))
    if isinstance(value, Mapping):
        unknown = sorted(shown(name).strip("'") for name in set(value) - {"quality", "latency", "cost"})[:8]
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
        f"weights are {shown(value)}; allowed is a preset ({', '.join(PRESETS)}) "
        "or a mapping of quality, latency and cost that sums to 1"
    )


def _parsed(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _number(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name} is {shown(value)}; allowed is a number from 0 to 1")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is {shown(value)}; allowed is a number from 0 to 1") from None


def shown(value: object) -> str:
    """A value for an error message: its beginning, on one line, without passwords of addresses."""
    try:
        if isinstance(value, str):
            text = repr(without_secrets(value[:_READ])[:_SHOWN])
        else:
            text = without_secrets(repr(value[:_SHOWN] if isinstance(value, bytes) else value))
    except (ValueError, RecursionError):
        # Python writes no whole number of more than 4,300 digits, and nothing that is nested too deeply.
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)


class PredictorSettings(_Settings):
    """The trained predictor of quality and output length, and the names of its models."""

    path: str = Field(description="Folder written by `routebalance train`.")
    models: dict[str, str] = Field(
        default_factory=dict,
        description="Model group, LiteLLM's or the provider's model name, or a deployment of this proxy -> "
        "model name in the training data. Names that are equal need no entry; one that may mean several "
        "models is an error.",
    )


def _predictor(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    if isinstance(value, str):
        if value not in ("default", "none"):
            raise ValueError("allowed are default, none, and {path: DIR}")
        return value
    return "default" if value is None else handler(value)


PackagedPredictor = Literal["default", "none"]
if TYPE_CHECKING:
    PredictorSetting = PredictorSettings | PackagedPredictor
else:  # so that an error names the setting, and no branch of a union
    PredictorSetting = Annotated[PredictorSettings, WrapValidator(_predictor)]


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


class FeedbackSettings(_Settings):
    """What becomes of the grades sent to `POST /routebalance/feedback`."""

    path: str | None = Field(
        default=None,
        min_length=1,
        description="JSON-lines file where they are kept; workers of one machine share it.",
    )
    max_bytes: int = Field(
        default=100_000_000, ge=1_000, le=10_000_000_000, description="At this size nothing is added."
    )
    learn: bool = Field(
        default=False,
        description="Grades correct the default predictor, by model and kind of prompt, in all workers.",
    )

    @model_validator(mode="after")
    def _of_some_use(self) -> FeedbackSettings:
        if self.path is None and not self.learn:
            raise ValueError("grades go nowhere; allowed are path: FILE, learn: true, or both")
        return self


class LeaseSettings(_Settings):
    """When an attempt that no event closes stops counting: predicted E2E x factor, within bounds."""

    factor: float = Field(default=4.0, ge=1.0, le=100.0)
    floor_s: float = Field(default=30.0, gt=0.0)
    ceiling_s: float = Field(default=900.0, gt=0.0)


Milliseconds = Annotated[float, Field(gt=0.0, le=86_400_000.0)]
Usd = Annotated[float, Field(gt=0.0, le=1e6)]
WeightsSetting = Annotated[Weights, BeforeValidator(_weights)]
QualityNormSetting = Literal["raw", "minmax", "scaled"]
NormSetting = Literal["absolute", "paper"]
ObjectiveName = Literal["score", "priced"]


class ShadowEvaluationSettings(_Settings):
    """Shadow mode judged: a share of the requests is answered a second time, by what would have been chosen.

    A judge model compares both answers without knowing whose they are, twice, in both orders. Clients see
    nothing of it. The file holds verdicts, never prompts or answers.
    """

    judge: str = Field(min_length=1, description="Model group of this proxy that judges.")
    path: str = Field(
        min_length=1, description="JSON-lines file of verdicts; workers of one machine share it."
    )
    usd_per_day: float = Field(
        gt=0.0, le=1e6, description="The most that answers and judge cost in a UTC day."
    )
    share: float = Field(default=0.01, gt=0.0, le=1.0, description="Share of the requests that is evaluated.")
    per_minute: int = Field(
        default=10, ge=1, le=10_000, description="Requests evaluated in a minute at most."
    )
    max_tokens: int = Field(
        default=1024,
        ge=1,
        le=100_000,
        description="Longest answer that is compared; longer ones are passed over.",
    )
    candidates: dict[str, WeightsSetting] = Field(
        default_factory=dict,
        max_length=8,
        description="Further weights to evaluate beside `weights`, by name.",
    )
    max_bytes: int = Field(
        default=100_000_000, ge=1_000, le=10_000_000_000, description="At this size nothing is added."
    )


class PriceSettings(_Settings):
    """The value of quality and time under the objective `priced`."""

    usd_per_quality: float = Field(
        default=0.001, ge=0.0, le=1e6, description="An answer of quality 1 above one of quality 0."
    )
    usd_per_second: float = Field(
        default=0.00002, ge=0.0, le=1e6, description="Waiting for the whole answer."
    )


class SloSettings(_Settings):
    """Limits of every request that sets no others, and what to do when no candidate meets them."""

    ttft_ms: Milliseconds | None = None
    tpot_ms: Milliseconds | None = None
    e2e_ms: Milliseconds | None = None
    quality_min: float | None = Field(default=None, ge=0.0, le=1.0)
    theta: float = Field(default=0.9, gt=0.0, lt=1.0, description="Probability of meeting a latency limit.")
    mode: Mode = Field(default="tiered", description="strict: refuse. tiered: loosen. prefer: price a miss.")
    relax: tuple[LimitName, ...] = Field(default=RELAX, description="`tiered`: what is loosened first.")
    steps: tuple[Annotated[float, Field(gt=1.0, le=100.0)], ...] = Field(
        default=STEPS, max_length=8, description="`tiered`: multiples of a limit, rising."
    )
    penalty: float = Field(default=1.0, ge=0.0, le=1e6, description="`prefer`: score lost for a whole miss.")

    @model_validator(mode="after")
    def _in_order(self) -> SloSettings:
        if len(set(self.relax)) < len(self.relax):
            raise ValueError(f"relax names a limit twice: {', '.join(self.relax)}")
        if list(self.steps) != sorted(self.steps):
            raise ValueError(f"steps must rise: {self.steps}")
        return self


class TargetSettings(_Settings):
    """Targets in place of weights, which follow from what requests cost, take and are worth."""

    cost_usd_per_1k: Usd | None = Field(default=None, description="The most that 1,000 requests may cost.")
    e2e_p95_s: float | None = Field(
        default=None, gt=0.0, le=86_400.0, description="Time within which 95 of 100 requests are answered."
    )
    quality_min: float | None = Field(
        default=None, gt=0.0, le=1.0, description="The least mean of predicted quality."
    )
    maximise: Maximised = Field(default="quality", description="What is best within these bounds.")

    @model_validator(mode="after")
    def _bound(self) -> TargetSettings:
        self.stated()
        return self

    def stated(self) -> Targets:
        """The same in the form of `core`."""
        return Targets(self.cost_usd_per_1k, self.e2e_p95_s, self.quality_min, self.maximise)


class PriorityWait(_Settings):
    """The longest wait from this LiteLLM priority (0 is the most important) up to the next one listed."""

    priority: int = Field(ge=0)
    max_wait_s: float = Field(gt=0.0, le=86_400.0)


class AdmissionSettings(_Settings):
    """Admission control: refuse requests that would have to wait too long everywhere."""

    max_wait_s: float = Field(gt=0.0, le=86_400.0, description="Predicted wait before the first token.")
    by_priority: tuple[PriorityWait, ...] = Field(
        default=(), max_length=64, description="Other waits for some of LiteLLM's priorities."
    )

    @model_validator(mode="after")
    def _rising(self) -> AdmissionSettings:
        levels = [entry.priority for entry in self.by_priority]
        if levels != sorted(set(levels)):
            raise ValueError(f"by_priority must rise in priority: {levels}")
        return self

    def wait_limit_s(self, priority: object) -> float:
        """The longest wait of a request with this LiteLLM priority, or without one."""
        number = priority if isinstance(priority, int) and not isinstance(priority, bool) else None
        levels = [(entry.priority, entry.max_wait_s) for entry in self.by_priority]
        return wait_limit(self.max_wait_s, levels, number)


class AffinitySettings(_Settings):
    """Prefix affinity: prefer the deployment that has probably cached the beginning of the prompt."""

    max_bonus_ms: float = Field(default=500.0, ge=0.0, le=60_000.0, description="The most that it may count.")
    imbalance: float = Field(
        default=2.0,
        ge=0.0,
        le=1_000.0,
        description="No bonus with this many more in flight than the least busy of the tier.",
    )
    ttl_s: float = Field(
        default=300.0, gt=0.0, le=86_400.0, description="A prefix unused this long is evicted."
    )
    switch_cost: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="Score that moving a conversation to another model costs, beside the lost cache.",
    )

    across: Literal["caller", "all"] = Field(
        default="caller",
        description="Whose prompts count as cached: those of the request's own team (else key), or of "
        "all. With `all`, predicted times in response headers tell whether somebody sent the same prefix.",
    )

    def rule(self) -> AffinityRule:
        """The same rule in the form of `core`."""
        return AffinityRule(self.max_bonus_ms / 1000.0, self.imbalance, self.ttl_s, self.switch_cost)


class ExplorationSettings(_Settings):
    """Exploration: send a small share of requests where little is known of the latency, or nothing lately."""

    method: Literal["recovery", "epsilon", "thompson", "none"] = Field(
        default="recovery",
        description="recovery: only where something better may well be found, bounded in harm.",
    )
    share: float = Field(default=0.02, gt=0.0, le=0.2, description="Of the requests, at most.")
    max_loss_s: float = Field(
        default=10.0,
        ge=0.0,
        le=3600.0,
        description="`recovery`: longest forecast loss of a request that is sent to find something out.",
    )

    def rule(self) -> ExplorationRule | None:
        """The same rule in the form of `core`; None for no exploration."""
        if self.method == "none":
            return None
        return ExplorationRule(self.method, self.share, self.max_loss_s)


class Cap(_Settings):
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
    "targets",
    "usd_per_day",
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
]


class OverrideSettings(_Settings):
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


class RouteBalanceSettings(_Settings):
    """`routing_strategy_args` of a router or routing group with `routing_strategy: routebalance`."""

    weights: WeightsSetting = Field(
        default=PRESETS["balanced"],
        description="A preset (balanced, quality, latency, cost, cheapest) or {quality, latency, cost} "
        "summing to 1.",
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
    slo: SloSettings = SloSettings()
    max_cost_usd: Usd | None = Field(default=None, description="The most that one request may cost.")
    admission: AdmissionSettings | None = None
    affinity: AffinitySettings | None = None
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


class DeploymentSettings(_Settings):
    """`model_info.routebalance` of one deployment: what is known of it before it was measured."""

    quality: float | None = Field(default=None, ge=0.0, le=1.0, description="Mean answer quality.")
    output_tokens: float | None = Field(default=None, gt=0.0, description="Mean length of an answer.")
    like: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="The model to take it for, by its public name.",
    )
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
    for problem in error.errors()[:_MOST]:
        name = ".".join([where, *(str(part)[:_SHOWN] for part in problem["loc"])])
        secret = any(word in name.lower() for word in _SECRET)
        value = "hidden" if secret else shown(problem["input"])
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(_fields_at(model, problem["loc"][:-1]))
            hint = did_you_mean(str(problem["loc"][-1]), allowed.split(", "))
            lines.append(f"{name}: unknown setting (value {value}); {hint}allowed are {allowed}")
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
