"""What all settings have in common, and the values that several of them take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from rb_litellm.config.errors import shown
from rb_litellm.core.decision.scoring import PRESETS, Weights
from rb_litellm.suggestion import did_you_mean


class Settings(BaseModel):
    """Nothing but what is described, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, value: object, info: ValidationInfo) -> object:
        annotation = cls.model_fields[str(info.field_name)].annotation
        told = get_args(annotation) or (annotation,)
        kinds = {get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in told} - {type(None)}
        if isinstance(value, bool) and kinds <= {int, float}:
            raise ValueError("allowed is a number, not true or false")
        return value


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


Milliseconds = Annotated[float, Field(gt=0.0, le=86_400_000.0)]
Usd = Annotated[float, Field(gt=0.0, le=1e6)]
RequestsPerMinute = Annotated[int, Field(ge=1, le=100_000_000)]
WeightsSetting = Annotated[Weights, BeforeValidator(_weights)]
QualityNormSetting = Literal["raw", "minmax", "scaled"]
NormSetting = Literal["absolute", "paper"]
ObjectiveName = Literal["score", "priced"]
