"""Grades of answers: those that are sent, and those of a judge in shadow mode."""

from __future__ import annotations

from pydantic import Field, model_validator

from rb_litellm.config.values import Settings, WeightsSetting


class FeedbackSettings(Settings):
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


class ShadowEvaluationSettings(Settings):
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
