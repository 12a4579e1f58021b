"""Which predictor is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from rb_litellm.config.values import Settings


class PredictorSettings(Settings):
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
