"""Ask a judge model, through LiteLLM, for the grades of many answers at once; keep each as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rb_litellm.predictors.reading.tokens import estimate_tokens
from rb_litellm.train.data.calibration import Task, read_grade

MAX_FAILURES_IN_A_ROW = 20
"""A judge that fails so often without a grade in between is asked no more."""
MAX_REASONS = 5
"""Reasons of failures that are kept for the report."""

RoutingRequest = Callable[[Task], Awaitable[str]]


@dataclass(slots=True)
class Labelling:
    """What has come of a run."""

    graded: int = 0
    failed: int = 0
    reasons: list[str] = field(default_factory=list)
    stopped: bool = False
    """Given up after MAX_FAILURES_IN_A_ROW."""
    _in_a_row: int = 0

    def succeed(self) -> None:
        """Count a grade."""
        self.graded += 1
        self._in_a_row = 0

    def fail(self, reason: str) -> None:
        """Count an answer without a grade."""
        self.failed += 1
        self._in_a_row += 1
        self.stopped = self.stopped or self._in_a_row >= MAX_FAILURES_IN_A_ROW
        if len(self.reasons) < MAX_REASONS:
            self.reasons.append(reason[:200])


async def label(
    tasks: Sequence[Task],
    ask: RoutingRequest,
    keep: Callable[[Task, float], None],
    concurrency: int,
    progress: Callable[[], None] = lambda: None,
) -> Labelling:
    """Grade all tasks, `concurrency` at a time; what fails is counted, for a later run to ask again."""
    done, left = Labelling(), iter(tasks)

    async def work(left: Iterator[Task]) -> None:
        for task in left:
            if done.stopped:
                return
            try:
                quality = read_grade(await ask(task))
            except Exception as error:  # noqa: BLE001  one answer without a grade must not end the others
                done.fail(f"{type(error).__name__}: {error}")
            else:
                keep(task, quality)
                done.succeed()
            progress()

    await asyncio.gather(*(work(left) for _ in range(concurrency)))
    return done


def litellm_judge(model: str, max_tokens: int, parameters: Mapping[str, Any]) -> RoutingRequest:
    """Asks `model` through LiteLLM, with its own retries; `parameters` are LiteLLM's, such as api_base."""
    import litellm

    async def ask(task: Task) -> str:
        response = await litellm.acompletion(
            **{
                "model": model,
                "messages": list(task.messages),
                "max_tokens": max_tokens,
                "temperature": 0.0,
                "drop_params": True,
                "num_retries": 3,
                **parameters,
            }
        )
        return str(response.choices[0].message.content or "")

    return ask


def cost_usd(model: str, tasks: Sequence[Task], max_tokens: int) -> float | None:
    """The most that the judge will about cost, by LiteLLM's cost map; None where that has no price."""
    import litellm

    tokens = sum(estimate_tokens(message["content"]) for task in tasks for message in task.messages)
    try:
        prompt, answer = litellm.cost_per_token(
            model=model, prompt_tokens=tokens, completion_tokens=max_tokens * len(tasks)
        )
    except Exception:  # noqa: BLE001  whatever LiteLLM raises for a model without a price
        return None
    return float(prompt + answer)


def doubt_about(model: str) -> str | None:
    """Why a judge of this name may not be the one that is meant; None where LiteLLM lists it.

    Raises:
        ValueError: LiteLLM cannot tell which provider to ask.
    """
    import litellm

    bare = [name for name in litellm.model_cost if "/" not in name]
    near = get_close_matches(model.rpartition("/")[2], bare, n=1, cutoff=0.8)
    hint = f"; did you mean {near[0]}?" if near else ""
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a list of providers
            name, provider, *_ = litellm.get_llm_provider(model)
    except Exception:  # noqa: BLE001  whatever LiteLLM raises for a name that it does not know
        raise ValueError(
            f"--judge: LiteLLM knows no provider for {model!r}; allowed is PROVIDER/MODEL, "
            f"such as openai/gpt-4o{hint}"
        ) from None
    if model in litellm.model_cost or name in litellm.model_cost:
        return None
    return f"LiteLLM does not list {model!r} ({provider}): right for a server of your own, else a slip{hint}"


def finished_ids(out: Path) -> set[str]:
    """Ids of the answers that an earlier run has graded; a line that it left unfinished is taken away.

    Raises:
        ValueError: the file holds something else.
    """
    if not out.exists():
        return set()
    content = out.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    ids = set()
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            ids.add(str(json.loads(line)["label_id"]))
        except (ValueError, KeyError, TypeError):  # noqa: PERF203  its line is named
            raise ValueError(f"{out}:{number}: is no labelled row; choose another --out") from None
    if len(whole) < len(content):
        with out.open("r+b") as file:
            file.truncate(len(whole))
    return ids
