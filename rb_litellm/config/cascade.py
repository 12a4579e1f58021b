"""Requests that are answered more than once: cascades, and the best of several answers of one model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from rb_litellm.config.values import Settings
from rb_litellm.core.best_of.rule import CORRELATION, MOST_CHOICES, SPREAD
from rb_litellm.core.cascade.rule import DEPENDENCE


class JudgeSettings(Settings):
    """Who judges, what it may take, and how good it is believed to be before anything is learned of it."""

    model: str = Field(min_length=1, max_length=256, description="Model group of this proxy that judges.")
    accepts_right: float = Field(
        default=0.9, gt=0.0, le=1.0, description="Share of right answers that it accepts."
    )
    accepts_wrong: float = Field(
        default=0.4, ge=0.0, le=1.0, description="Share of wrong answers that it accepts."
    )
    seconds: float = Field(
        default=1.0, gt=0.0, le=600.0, description="Time of a verdict, before it is measured."
    )
    timeout_s: float = Field(
        default=10.0, gt=0.0, le=120.0, description="The longest that one is waited for."
    )
    max_tokens: int = Field(default=64, ge=8, le=8_192, description="Longest verdict, thoughts included.")
    max_chars: int = Field(
        default=24_000,
        ge=500,
        le=400_000,
        description="Characters of the request, and as many of each answer, that it is shown.",
    )

    @model_validator(mode="after")
    def _tells_something(self) -> JudgeSettings:
        if self.accepts_wrong > self.accepts_right:
            raise ValueError(
                f"accepts_wrong {self.accepts_wrong:g} is above accepts_right {self.accepts_right:g}; "
                "allowed is a judge that accepts no more of the wrong answers than of the right ones"
            )
        return self


class CascadeSettings(Settings):
    """A request that is not streamed may be answered a second time, where the joint score is for it."""

    judge: JudgeSettings
    default: Literal["allow", "never"] = Field(
        default="allow", description="For requests that do not say `cascade` themselves."
    )
    dependence: float = Field(
        default=DEPENDENCE,
        ge=0.0,
        le=1.0,
        description="How far a prompt that one model gets wrong is hard for others, too: a correlation.",
    )
    timeout_s: float = Field(
        default=60.0, gt=0.0, le=3_600.0, description="The longest that the second answer is waited for."
    )


class BestOfSettings(Settings):
    """A request that is not streamed may be answered several times at once, where the score is for it."""

    judge: JudgeSettings
    default: Literal["allow", "never"] = Field(
        default="allow", description="For requests that do not say `best_of` themselves."
    )
    answers: int = Field(default=4, ge=2, le=MOST_CHOICES, description="The most that are asked for.")
    correlation: float = Field(
        default=CORRELATION,
        ge=0.0,
        le=1.0,
        description="Of being right, between two answers of one model to one prompt.",
    )
    length_spread: float = Field(
        default=SPREAD,
        ge=0.0,
        le=1.0,
        description="Standard deviation of the logs of their lengths, before any were seen.",
    )
