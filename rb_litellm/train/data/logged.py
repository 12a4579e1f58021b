"""What LiteLLM's spend logs teach: output lengths and latencies for free, quality where feedback exists."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rb_litellm.fitting.fit import FittedServer, fit
from rb_litellm.fitting.servers import apart
from rb_litellm.litellm_adapter.request.body.prompt import read_prompt
from rb_litellm.logs.classify import FAILED, NO_ANSWER
from rb_litellm.logs.decisions import decided_group
from rb_litellm.logs.spend_logs import LoggedCall, SpendLog
from rb_litellm.train.data.dataset import Answer, DataError

MAX_CHARS = 30_000_000
"""Characters of prompts that are learned from, the latest: with what is made of them they fit into 1 GB."""
_SHORT_PROMPT = 50
"""Tokens."""
_SHORTENED = "litellm_truncated"
"""LiteLLM writes this where it leaves out the middle of a long text that it stores."""
_REDACTED = "redacted-by-litellm"
"""And this in place of a text that it must not store."""


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
    quick: int
    """Answered too quickly to have come from the model, as mocked answers are."""
    aborted: int
    """Left by the client before the answer's end, so that nobody knows its length."""
    older: int = 0
    """Not used, because later ones hold MAX_CHARS characters already."""

    def as_json(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)

    def __str__(self) -> str:
        parts = [f"{self.calls} calls: {self.used} used, {self.graded} of them with feedback"]
        parts += [f"{self.without_prompt} without a stored prompt"] if self.without_prompt else []
        parts += [f"{self.unanswered} failed or without an answer"] if self.unanswered else []
        parts += [f"{self.quick} answered too quickly to have come from the model"] if self.quick else []
        parts += [f"{self.aborted} left by their client before the end"] if self.aborted else []
        if self.older:
            parts.append(f"{self.older} older than the latest {MAX_CHARS:,} characters of prompts")
        if self.shortened:
            parts.append(
                f"{self.shortened} used with a prompt that LiteLLM stored shortened "
                "(MAX_STRING_LENGTH_PROMPT_IN_DB sets from which length on)"
            )
        return "; ".join(parts)


def answers_of_calls(log: SpendLog, feedback: Mapping[str, float]) -> tuple[list[Answer], LogCounts]:
    """An answer per call that has a prompt and output tokens; `feedback` is scores in [0, 1] by call id.

    The latest calls, whose prompts have MAX_CHARS characters together, are used, by rising start time.
    Answers that `max_tokens` cut are kept: prompts are predicted under the same limits.

    Raises:
        DataError: no call can be used; says why.
    """
    answered = apart([call for call in log.calls if not call.failed and call.output_tokens > 0])
    quick = fit(answered).quick if answered else frozenset[int]()
    named = _names(answered)
    answers = []
    without_prompt = shortened = graded = aborted = older = chars = 0
    for place, call in reversed(list(enumerate(answered))):
        if call.aborted:
            aborted += 1
            continue
        if place in quick:
            continue
        body = call.body
        messages = body.get("messages")
        if messages is None and body.get("prompt") is not None:
            messages = [{"role": "user", "content": body["prompt"]}]
        prompt = read_prompt(messages, body.get("input"), body)
        if not prompt.text or prompt.text.strip() == _REDACTED:
            without_prompt += 1
            continue
        chars += len(prompt.text)
        if chars > MAX_CHARS:
            older += 1
            continue
        score = feedback.get(call.call_id)
        graded += score is not None
        shortened += _SHORTENED in prompt.text
        answers.append(Answer(prompt, named[_place(call)], score, call.output_tokens))
    counts = LogCounts(
        calls=log.report.rows,
        used=len(answers),
        graded=graded,
        without_prompt=without_prompt,
        unanswered=sum(n for (why, _), n in log.report.left_out.items() if why in (FAILED, NO_ANSWER)),
        shortened=shortened,
        quick=len(quick),
        aborted=aborted,
        older=older,
    )
    if not answers:
        hint = (
            "; set general_settings.store_prompts_in_spend_logs: true in LiteLLM's configuration, "
            "and what is logged from then on can be learned from"
            if without_prompt
            else ""
        )
        left_out = "".join(f"; {line}" for line in log.report.lines()[1:])
        raise DataError(f"spend logs: nothing to learn from in {counts}{left_out}{hint}")
    return answers[::-1], counts


def latencies_of_calls(calls: Sequence[LoggedCall]) -> dict[str, dict[str, Any]]:
    """`ttft_ms` and `tpot_ms` alone, without load, by deployment, as `model_info.routebalance` takes them.

    Deployments whose model has too few calls to be fitted are left out, and those whose fit is not trusted.
    """
    answered = [call for call in calls if not call.failed and call.output_tokens > 0]
    return {
        server.deployment: {
            "model": server.model,
            "calls": server.calls,
            "from": server.origin,
            "ttft_ms": max(round(_first_token_s(server) * 1e3, 2), 0.01),
            "tpot_ms": round(server.tpot_s * 1e3, 3),
            "off_by": round(server.error, 4),
            "left_aside": server.quick + server.slow,
        }
        for server in fit(apart(answered)).servers
        if server.origin != "prior" and not server.distrust
    }


def _first_token_s(server: FittedServer) -> float:
    """Of a short prompt, as the setting means it; no longer than the log's are."""
    usual = max(server.mean_context_tokens - server.mean_output_tokens / 2.0, 0.0)
    return server.ttft_s + server.prefill_s_per_token * min(usual, _SHORT_PROMPT)


def _place(call: LoggedCall) -> tuple[str, str, str]:
    return decided_group(call), call.group, call.model


def _names(calls: Sequence[LoggedCall]) -> dict[tuple[str, str, str], str]:
    """The name of each call's model, as a proxy with the predictor looks it up.

    That is the model group that we chose, where we did; else the group that was asked for, unless its
    calls went to several models, as those of a routing group do: then it is LiteLLM's name of the model.
    """
    models = defaultdict(set)
    for call in calls:
        models[call.group].add(call.model)
    return {
        _place(call): decided_group(call) or (call.group if len(models[call.group]) == 1 else call.model)
        for call in calls
    }
