"""Settings as LiteLLM has them in, and the selector that serves by them out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rb_litellm.config import SettingsError, parse_settings
from rb_litellm.litellm_adapter.request.body.prompt import read_prompt
from rb_litellm.litellm_adapter.shared.feedback_file import check_feedback, check_shadow_evaluation
from rb_litellm.litellm_adapter.strategy import RouteBalanceSelector
from rb_litellm.litellm_adapter.worker import worker
from rb_litellm.predictors.trained.model import PredictorError
from rb_litellm.state.exchange.redis.settings import checked_url


def check_settings(args: Mapping[str, Any] | None, where: str) -> list[str]:
    """What is wrong with `routing_strategy_args`, what it names included; empty if nothing.

    All that building a selector may refuse: LiteLLM takes half of an update back where a build fails.
    """
    try:
        settings = parse_settings(args, where)
        check_feedback(settings.feedback, where)
        check_shadow_evaluation(settings, where)
        if settings.redis.url is not None:
            checked_url(settings.redis.url, os.environ, where)
        worker().runtime.prediction_source(settings.predictor)
    except (SettingsError, PredictorError) as error:
        return [str(error)]
    return []


def build_selector(router: Any, args: Mapping[str, Any] | None) -> RouteBalanceSelector:
    """The selector for a router or routing group with these `routing_strategy_args`.

    What is wrong with a deployment's own settings stops nothing here: it is served without them.

    Raises:
        SettingsError: a setting is wrong.
        PredictorError: the predictor folder is missing, corrupt or of another version.
    """
    settings = parse_settings(args, "routing_strategy_args")
    check_feedback(settings.feedback, "routing_strategy_args")
    check_shadow_evaluation(settings, "routing_strategy_args")
    its = worker()
    entries = getattr(router, "model_list", None) or ()
    predictions = its.runtime.prediction_source(settings.predictor, entries)
    # The first request must not wait for a vocabulary to be read.
    predictions.predict([read_prompt("What is this?", None, None)], [])
    its.adopt(settings, router)
    return RouteBalanceSelector(router, settings, predictions, its)
