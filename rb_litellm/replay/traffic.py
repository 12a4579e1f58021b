"""The calls of a log as requests to simulate: when they came, what was asked, what each model would answer.

What another deployment would have answered is not in a log. Its length is taken as the logged length
times the ratio of the two models' mean lengths, its quality from a predictor where the log holds the
prompt, and from what is known of the model else. So quality here is expected quality, never measured.

Time in which nothing was under way is skipped, all but `IDLE_S` of it: a replay takes as long as its calls
do, not as long as the log spans.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from rb_litellm.core.types import FloatArray, Prompt
from rb_litellm.fitting.fit import FittedServer
from rb_litellm.litellm_adapter.request.body.prompt import read_prompt
from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.registry import PredictionSource
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.workload import Request

IDLE_S = 30.0
"""Of a time without calls so much is kept, or three times what nearly every call takes."""
_PREDICTED_AT_A_TIME = 256
_REDACTED = "redacted-by-litellm"


def to_requests(
    calls: Sequence[LoggedCall],
    servers: Sequence[FittedServer],
    cluster: Cluster,
    predictions: PredictionSource,
    load: float = 1.0,
    slow: Collection[int] = (),
) -> list[Request]:
    """Answered calls, at least one, by arrival, `load` times as fast; arrays by tier of `cluster`.

    `slow` are the places of those that took far longer than they should have.
    """
    answered = list(calls)
    mean = {server.deployment: server.mean_output_tokens for server in servers}
    ratios = np.array([tier.output_tokens for tier in cluster.tiers])
    prompts = [_prompt(call) for call in answered]
    quality = _quality(prompts, cluster, predictions)
    arrivals = busy_times(answered, slow)
    return [
        Request(
            number=number,
            arrival_s=arrivals[number] / load,
            prompt=prompt,
            quality=quality[number],
            output_tokens=np.maximum(np.round(call.output_tokens * ratios / mean[call.deployment]), 1.0),
        )
        for number, (call, prompt) in enumerate(zip(answered, prompts, strict=True))
    ]


def busy_times(calls: Sequence[LoggedCall], slow: Collection[int] = ()) -> FloatArray:
    """When each call came, in s from the first, with the empty time before it cut short."""
    starts = np.array([call.start_s for call in calls])
    # A call that never ended keeps nothing awake: it is no longer than the longest usual one.
    usual = [call.e2e_s for n, call in enumerate(calls) if n not in slow]
    longest = float(np.quantile(usual or [call.e2e_s for call in calls], 0.99))
    ends = np.maximum.accumulate(np.minimum([call.end_s for call in calls], starts + longest))
    empty = np.maximum(starts[1:] - ends[:-1] - max(IDLE_S, 3.0 * longest), 0.0)
    return np.asarray(starts - starts[0] - np.concatenate([[0.0], np.cumsum(empty)]), dtype=np.float64)


def _prompt(call: LoggedCall) -> Prompt:
    body: Mapping[str, object] = call.body
    messages = None if _REDACTED in call.body_text else body.get("messages")
    read = read_prompt(messages, body.get("input") or body.get("prompt"), body)
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
