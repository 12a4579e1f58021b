"""The calls of a log as requests to simulate: when they came, what was asked, what each model would answer.

What another deployment would have answered is not in a log. Its length is taken as the logged length
times the ratio of the two models' mean lengths, its quality from a predictor where the log holds the
prompt, and from what is known of the model else. So quality here is expected quality, never measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rb_litellm.core.types import FloatArray, Prompt
from rb_litellm.litellm_adapter.request.prompt import read_prompt
from rb_litellm.logs.server_fit import FittedServer
from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.cluster import Cluster
from rb_litellm.sim.workload import Request

_PREDICTED_AT_A_TIME = 256


def to_requests(
    calls: Sequence[LoggedCall],
    servers: Sequence[FittedServer],
    cluster: Cluster,
    predictions: PredictionSource,
    load: float = 1.0,
) -> list[Request]:
    """Answered calls in order of arrival, `load` times as fast; arrays by tier of `cluster`."""
    answered = [call for call in calls if not call.failed and call.output_tokens > 0]
    if not answered:
        return []
    mean = {server.deployment: server.mean_output_tokens for server in servers}
    ratios = np.array([tier.output_tokens for tier in cluster.tiers])
    prompts = [_prompt(call) for call in answered]
    quality = _quality(prompts, cluster, predictions)
    first = answered[0].start_s
    return [
        Request(
            number=number,
            arrival_s=(call.start_s - first) / load,
            prompt=prompt,
            quality=quality[number],
            output_tokens=np.maximum(np.round(call.output_tokens * ratios / mean[call.deployment]), 1.0),
        )
        for number, (call, prompt) in enumerate(zip(answered, prompts, strict=True))
    ]


def _prompt(call: LoggedCall) -> Prompt:
    body: Mapping[str, object] = call.body
    read = read_prompt(body.get("messages"), body.get("input") or body.get("prompt"), body)
    # The provider's own count is better than our estimate; the logged answer ended of itself or at the limit.
    return read._replace(input_tokens=call.input_tokens, max_tokens=None)


def _quality(prompts: Sequence[Prompt], cluster: Cluster, predictions: PredictionSource) -> FloatArray:
    models = [
        ModelInfo(key=tier.model, model=tier.model, quality=tier.quality, output_tokens=tier.output_tokens)
        for tier in cluster.tiers
    ]
    parts = [
        predictions.predict(prompts[at : at + _PREDICTED_AT_A_TIME], models).quality
        for at in range(0, len(prompts), _PREDICTED_AT_A_TIME)
    ]
    return np.concatenate(parts)
