"""The nouns of a decision: what is asked, who may answer, what is predicted, what was chosen.

Units are fixed across the project and carried in the names: seconds (`_s`), tokens (`_tokens`),
US dollars (`_usd`), quality in [0, 1]. Arrays are float64 unless said otherwise; R counts requests
of a batch, N counts deployments, M counts models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


class Prompt(NamedTuple):
    """What a predictor may look at in one request. Holds prompt text: never logged, never published."""

    text: str = ""
    """Text of all messages in order, joined by blank lines (system, user and assistant turns)."""
    input_tokens: int = 0
    """Tokens of the whole input, an estimate where the text is long."""
    system_chars: int = 0
    turns: int = 1
    """Number of user messages."""
    tools: int = 0
    images: int = 0
    max_tokens: int | None = None
    """The client's limit on output tokens."""
    json_output: bool = False
    """A response format other than text was asked for."""
    session: str = ""
    """The client's name for the conversation that this is a turn of, empty where it gives none."""


@dataclass(slots=True)
class InstanceState:
    """Load of N deployments at one moment; every array has shape (N,)."""

    in_flight: FloatArray
    """Open attempts, whether queued or running on the deployment."""
    pending_prefill_tokens: FloatArray
    """Input tokens of attempts whose first token has not come yet."""
    pending_decode_tokens: FloatArray
    """Output tokens still expected of all open attempts."""

    @classmethod
    def idle(cls, count: int) -> InstanceState:
        """State of `count` deployments with nothing open."""
        return cls(np.zeros(count), np.zeros(count), np.zeros(count))

    def copy(self) -> InstanceState:
        """An independent copy, for adding the requests of a batch one after another."""
        return InstanceState(
            self.in_flight.copy(), self.pending_prefill_tokens.copy(), self.pending_decode_tokens.copy()
        )

    def take(self, rows: IntArray) -> InstanceState:
        """The state of the given deployments only, in that order (a copy)."""
        return InstanceState(
            self.in_flight[rows], self.pending_prefill_tokens[rows], self.pending_decode_tokens[rows]
        )


class Prediction(NamedTuple):
    """What is expected of one request on one deployment."""

    quality: float
    output_tokens: float
    wait_s: float
    """Time in the deployment's queue before prefill starts."""
    ttft_s: float
    """Time to first token, from the moment of sending, the wait included."""
    tpot_s: float
    """Time per output token after the first."""
    e2e_s: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Predicted and measured figures of one attempt, made once when the attempt is closed."""

    deployment: str
    closed_by: str
    predicted: Prediction | None
    """None where the simple rule placed it, which predicts nothing."""
    input_tokens: int
    in_flight: float
    """Attempts open on the deployment when this one was sent, itself not counted."""
    pending_prefill_tokens: float
    """Input tokens that were waiting for prefill there at that moment, its own not counted."""
    open_s: float
    """From the pick to the close."""
    ttft_s: float | None = None
    """Measured; None where no first token was seen."""
    tpot_s: float | None = None
    """Measured, (end - first token) / (output tokens - 1); None below two output tokens."""
    output_tokens: int | None = None
    cost_usd: float | None = None
    error: str | None = None
    """Class name of the exception, for an attempt that failed."""
    first_token_learned: bool = False
    """The first token was noted when it came, so that its time has been learned from already."""
    chunks: int = 0
    """Of its stream, by the close; 0 where they were not counted."""
    call_id: str = ""
    attempt: int = 0
    """With `call_id`, which attempt it was."""


@dataclass(frozen=True, slots=True)
class ModelPredictions:
    """Quality and output length of R prompts for M models, as a predictor gives them."""

    quality: FloatArray
    """(R, M) in [0, 1]; NaN where the predictor knows nothing of the model."""
    output_tokens: FloatArray
    """(R, M) expected output tokens, already capped by `max_tokens`; NaN where unknown."""
    confidence: FloatArray
    """(R, M) in [0, 1]: 0 says the figure is the model's mean, 1 that it is the prompt's own."""
    length_quantiles: FloatArray | None = field(default=None)
    """(R, M, Q) output tokens at the predictor's quantile levels, non-decreasing along Q."""
