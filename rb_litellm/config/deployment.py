"""What the operator says of one deployment."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationError, field_validator

from rb_litellm.config.errors import SettingsError, explain
from rb_litellm.config.values import Settings

EffortName = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""Levels of `reasoning_effort`, as LiteLLM takes them."""


class EffortSettings(Settings):
    """What one level of reasoning effort is worth and takes, before it was measured."""

    quality: float = Field(ge=0.0, le=1.0, description="Mean answer quality at this level.")
    output_tokens: float = Field(gt=0.0, le=1e7, description="Mean length of its answers, thoughts included.")


class DeploymentSettings(Settings):
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
    prefill_ms_per_1k_tokens: float | None = Field(
        default=None, ge=0.0, description="What 1,000 prompt tokens more take before the first token."
    )
    tpot_ms_per_running: float | None = Field(
        default=None, ge=0.0, description="Growth of `tpot_ms` with each further sequence that runs."
    )
    max_num_seqs: int | None = Field(default=None, ge=1, description="Sequences that run at once.")
    tier: str | None = Field(default=None, description="Deployments of one tier learn from each other.")
    hosted: bool | None = Field(default=None, description="true: an API without a visible queue.")
    scrape_url: str | None = Field(
        default=None, description="Where its /metrics are, if not beside api_base."
    )
    efforts: dict[EffortName, EffortSettings] = Field(
        default_factory=dict, description="Levels of `reasoning_effort` that are candidates of their own."
    )

    @field_validator("scrape_url")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]", value):
            raise ValueError("allowed is an http:// or https:// address, such as http://gpu-1:8000/metrics")
        return value


def parse_deployment(info: object, where: str) -> DeploymentSettings:
    """Validate one deployment's `model_info.routebalance`; None means nothing is known of it.

    Raises:
        SettingsError: listing every setting that is wrong, its value and what is allowed.
    """
    try:
        return DeploymentSettings.model_validate({} if info is None else info)
    except ValidationError as error:
        raise SettingsError(explain(error, where, DeploymentSettings)) from None
