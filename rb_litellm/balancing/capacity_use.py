"""What has been taken of deployments' limits: `rpm`, `tpm` and requests at once, as one worker knows of it.

What this worker sent is counted here, what the others sent comes with their gauges. Where no candidate has a
limit, nothing is counted.
"""

from __future__ import annotations

from collections.abc import Sequence

from rb_litellm.balancing.candidates import CandidateSet
from rb_litellm.core.decision.breakdown import Decision, Refusal
from rb_litellm.core.limits.capacity import Capacity, Room, Usage
from rb_litellm.core.types import FloatArray, Outcome, Prompt
from rb_litellm.state.reckoning import Reckoner


class CapacityUse:
    """Of all deployments that one worker knows. Times in s, never falling."""

    def __init__(self, reckoner: Reckoner, usage: Usage) -> None:
        """`usage` is what this worker sent in the last minute, by row of the reckoner's index."""
        self._reckoner = reckoner
        self._usage = usage

    def room(
        self, candidate_set: CandidateSet, input_tokens: Sequence[int], output_tokens: FloatArray, now: float
    ) -> Room | None:
        """What the candidates have left for R requests that will come to so many tokens, (R,) and (R, N).

        None where none of them can reach a limit.
        """
        capacity = candidate_set.capacity
        if capacity is None or self._is_far(capacity, input_tokens, output_tokens, now):
            return None
        rows = candidate_set.state_rows
        open_here = self._reckoner.open_here()
        used = self._reckoner.used(self._usage.of_minute(open_here.size, now), now)
        requests, tokens = used.take(rows, axis=1)
        return Room(capacity, requests, tokens, open_here.take(rows))

    def _is_far(
        self, capacity: Capacity, input_tokens: Sequence[int], output_tokens: FloatArray, now: float
    ) -> bool:
        """Whether all of these could go to any one candidate, whichever had most of the last minute."""
        if self._reckoner.has_peers:
            return False
        others = len(input_tokens) - 1.0
        longest = output_tokens.item(output_tokens.argmax())
        requests, tokens = self._usage.most(now)
        return capacity.is_far(
            requests + others,
            tokens + sum(input_tokens) + len(input_tokens) * longest,
            self._reckoner.open_in_all + others,
        )

    def sent(
        self,
        prompts: Sequence[Prompt],
        candidate_set: CandidateSet,
        decisions: Sequence[Decision | Refusal],
        now: float,
    ) -> None:
        """Count the requests that were placed, each by its prompt and the answer that is expected."""
        if candidate_set.capacity is None:
            return
        placed = (
            (
                candidate_set.state_rows.item(decision.index),
                prompt.input_tokens + decision.answers * decision.prediction.output_tokens,
            )
            for prompt, decision in zip(prompts, decisions, strict=True)
            if isinstance(decision, Decision)
        )
        self._usage.sent(placed, now)

    def settle(self, outcome: Outcome, now: float) -> None:
        """Count against `tpm` what a closed attempt has written, and no longer what it was expected to."""
        if outcome.predicted is None or (outcome.output_tokens is None and outcome.error is None):
            return
        written = 0 if outcome.output_tokens is None else outcome.output_tokens
        row = self._reckoner.row(outcome.deployment)
        self._usage.corrected(row, outcome.choices * (written - outcome.predicted.output_tokens), now)
