"""`--predictor`: what predictions come from, named alike by every command."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rb_litellm.predictors.registry import PredictionSource
    from rb_litellm.train.data.judged import Judged

_F = TypeVar("_F", bound=Callable[..., Any])
NAMED = ("default", "none")


def predictor_option(**options: Any) -> Callable[[_F], _F]:
    """The option: `default`, `none`, or a folder of `train`."""
    text = "Predict by the one that ships (default), by the priors alone (none), or by a folder of `train`."
    return click.option("--predictor", metavar="default|none|DIR", callback=_checked, help=text, **options)


def name_option(of: str) -> Callable[[_F], _F]:
    """`--name`: what the predictor calls a model of the data, or of the log."""
    text = (
        f"Say what the predictor calls a model of the {of}, where more than the provider differs. "
        "May be given several times."
    )
    return click.option("--name", "names", multiple=True, metavar="MODEL=NAME", help=text)


def _checked(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and value not in NAMED and not Path(value).is_dir():
        raise click.BadParameter(
            f"{value!r} is no folder; allowed are default, none, and a folder of `train`"
        )
    return value


def open_source(name: str) -> PredictionSource:
    """The predictions that `--predictor` names.

    Raises:
        PredictorError: the folder holds none that can be used.
    """
    from rb_litellm.predictors.default.artifact import packaged
    from rb_litellm.predictors.registry import PredictionSource
    from rb_litellm.predictors.trained.model import Predictor

    if name == "none":
        return PredictionSource()
    return PredictionSource(None if name == "default" else Predictor.load(name), default=packaged())


def judged(name: str, models: Sequence[str]) -> Judged:
    """What `--predictor` names, to be judged on data that speak of these models.

    Raises:
        PredictorError: the folder holds none that can be used.
    """
    from rb_litellm.predictors.trained.model import Predictor
    from rb_litellm.train.data.judged import Untaught

    return Untaught(open_source(name), models, name) if name in NAMED else Predictor.load(name)


def seen_prompts(name: str, prompt_ids: Collection[str]) -> int:
    """How many of these prompts the predictor was trained on, as far as its folder says."""
    from rb_litellm.predictors.default.artifact import PACKAGED
    from rb_litellm.predictors.trained.model import PROMPTS

    try:
        told = ((PACKAGED if name == "default" else Path(name)) / PROMPTS).read_text("utf-8").split()
    except (OSError, ValueError):
        return 0
    # A folder may hold the beginnings of ids.
    digits = len(told[0]) if told else 0
    return len({one[:digits] for one in prompt_ids} & set(told))
