"""What LiteLLM's spend logs teach: output lengths and latencies for free, quality where feedback exists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rb_litellm.litellm_adapter.request.prompt import read_prompt
from rb_litellm.logs.server_fit import fit_servers
from rb_litellm.logs.spend_logs import LoggedCall
from rb_litellm.train.dataset import Answer, DataError

_SHORTENED = "litellm_truncated"
"""LiteLLM writes this where it leaves out the middle of a long text that it stores."""


@dataclass(frozen=True, slots=True)
class LogCounts:
    """What became of the calls of a log."""

    calls: int
    used: int
    graded: int
    """Used, and with feedback."""
    without_prompt: int
    unanswered: int
    """Failed, or without output tokens, as embeddings are."""
    shortened: int
    """Used, though LiteLLM stored only the beginning and the end of the prompt."""

    def as_json(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [f"{self.calls} calls: {self.used} used, {self.graded} of them with feedback"]
        parts += [f"{self.without_prompt} without a stored prompt"] if self.without_prompt else []
        parts += [f"{self.unanswered} failed or without an answer"] if self.unanswered else []
        if self.shortened:
            parts.append(
                f"{self.shortened} used with a prompt that LiteLLM stored shortened "
                "(MAX_STRING_LENGTH_PROMPT_IN_DB sets from which length on)"
            )
        return "; ".join(parts)


def answers_of_calls(
    calls: Sequence[LoggedCall], feedback: Mapping[str, float]
) -> tuple[list[Answer], LogCounts]:
    """An answer per call that has a prompt and output tokens; `feedback` is scores in [0, 1] by call id.

    Answers that `max_tokens` cut are kept: prompts are predicted under the same limits.

    Raises:
        DataError: no call can be used; says why.
    """
    answered = [call for call in calls if not call.failed and call.output_tokens > 0]
    named = _names(answered)
    answers = []
    without_prompt = shortened = graded = 0
    for call in answered:
        body = call.body
        messages = body.get("messages")
        if messages is None and body.get("prompt") is not None:
            messages = [{"role": "user", "content": body["prompt"]}]
        prompt = read_prompt(messages, body.get("input"), body)
        if not prompt.text:
            without_prompt += 1
            continue
        score = feedback.get(call.call_id)
        graded += score is not None
        shortened += _SHORTENED in prompt.text
        answers.append(Answer(prompt, named[_place(call)], score, call.output_tokens))
    counts = LogCounts(
        calls=len(calls),
        used=len(answers),
        graded=graded,
        without_prompt=without_prompt,
        unanswered=len(calls) - len(answered),
        shortened=shortened,
    )
    if not answers:
        hint = (
            "; set general_settings.store_prompts_in_spend_logs: true in LiteLLM's configuration, "
            "and what is logged from then on can be learned from"
            if without_prompt
            else ""
        )
        raise DataError(f"spend logs: nothing to learn from in {counts}{hint}")
    return answers, counts


def latencies_of_calls(calls: Sequence[LoggedCall]) -> dict[str, dict[str, Any]]:
    """`ttft_ms` and `tpot_ms` alone, without load, by deployment, as `model_info.routebalance` takes them.

    Deployments whose model has too few calls to be fitted are left out.
    """
    answered = [call for call in calls if not call.failed and call.output_tokens > 0]
    return {
        server.deployment: {
            "model": server.model,
            "calls": server.calls,
            "from": server.origin,
            "ttft_ms": round(server.ttft_s * 1e3, 2),
            "tpot_ms": round(server.tpot_s * 1e3, 3),
        }
        for server in fit_servers(answered)
        if server.origin != "prior"
    }


def _place(call: LoggedCall) -> tuple[str, str, str]:
    return _decided(call), call.group, call.model


def _names(calls: Sequence[LoggedCall]) -> dict[tuple[str, str, str], str]:
    """The name of each call's model, as a proxy with the predictor looks it up.

    That is the model group that we chose, where we did; else the group that was asked for, unless its
    calls went to several models, as those of a routing group do: then it is LiteLLM's name of the model.
    """
    models = defaultdict(set)
    for call in calls:
        models[call.group].add(call.model)
    return {
        _place(call): _decided(call) or (call.group if len(models[call.group]) == 1 else call.model)
        for call in calls
    }


def _decided(call: LoggedCall) -> str:
    """Model group that RouteBalance chose for the call, empty where it did not."""
    decision = call.metadata.get("routing_decision")
    detail = decision.get("routebalance") if isinstance(decision, Mapping) else None
    model = detail.get("model") if isinstance(detail, Mapping) else None
    return model if isinstance(model, str) else ""
