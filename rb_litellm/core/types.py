"""Types of a decision: the prompt, the load of instances, predictions and outcomes.

Units are the same everywhere and part of the names: seconds (`_s`), tokens (`_tokens`), US dollars (`_usd`),
quality in [0, 1]. Arrays are float64 unless said otherwise. R counts requests of a batch, N deployments, and
M models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

MAX_TOKENS = 10_000_000
"""More than any prompt or answer has: a count beyond it is a mistake of whoever wrote it."""


class Prompt(NamedTuple):
    """What a predictor may read of one request. It holds prompt text, so it is never logged or published."""

    text: str = ""
    """Text of all messages in order, joined by blank lines (system, user and assistant turns)."""
    input_tokens: int = 0
    """Tokens of the whole input; an estimate where the text is long."""
    system_chars: int = 0
    turns: int = 1
    """Number of user messages."""
    tools: int = 0
    images: int = 0
    max_tokens: int | None = None
    """The client's limit on output tokens."""
    json_output: bool = False
    """Whether a response format other than text was asked for."""
    session: str = ""
    """The client's id of the conversation; empty where it gives none."""
    owner: str = ""
    """Whose prompts count as seen before with this one: prompts of another owner never match it."""


@dataclass(slots=True)
class InstanceState:
    """Load of N deployments at one moment; every array has shape (N,)."""

    in_flight: FloatArray
    """Open attempts, queued or running on the deployment; one for several answers counts as so many."""
    pending_prefill_tokens: FloatArray
    """Input tokens that are not prefilled yet."""
    pending_decode_tokens: FloatArray
    """Output tokens that open attempts are still expected to write."""

    @classmethod
    def idle(cls, count: int) -> InstanceState:
        """The state of `count` deployments with no open attempt."""
        return cls(np.zeros(count), np.zeros(count), np.zeros(count))

    def copy(self) -> InstanceState:
        """An independent copy."""
        return InstanceState(
            self.in_flight.copy(), self.pending_prefill_tokens.copy(), self.pending_decode_tokens.copy()
        )

    def take(self, rows: IntArray) -> InstanceState:
        """A copy with the given deployments only, in that order."""
        return InstanceState(
            self.in_flight.take(rows),
            self.pending_prefill_tokens.take(rows),
            self.pending_decode_tokens.take(rows),
        )


class Ahead(NamedTuple):
    """Those that were served before a request on its server."""

    requests: int
    """Those that this worker had sent; of those sent together with it the ones that began before it."""
    ended_s: tuple[float, ...]
    """Seconds after the sending at which those of them ended that have ended, in order."""
    others: float = 0.0
    """How many others had sent that were there when it was sent."""

    @property
    def share(self) -> float:
        """Of all that were there the part that this worker had sent."""
        return self.requests / (self.requests + self.others) if self.others > 0.0 else 1.0


class Company(NamedTuple):
    """Those that this worker sent to a server at about the time of an attempt: in which order they came there
    is not told."""

    together: int
    """Answers that were asked for within a tenth of a second of it, before it or after."""
    well_before: int
    """Those on the server that were sent earlier,"""
    met: int
    """and all that were there when it was sent."""


class Prefilled(NamedTuple):
    """Prompts of this worker that were prefilled on a server while an answer was written there."""

    tokens: float
    within_s: float
    """From its first token until the first token of the last of them."""
    beside: float
    """Others of this worker that were open there meanwhile, on average."""


class Losses(NamedTuple):
    """Attempts on a deployment that failed, by kind, and what was lost by them; all fades with time."""

    refused: float = 0.0
    """No connection."""
    timed_out: float = 0.0
    """No answer within the time limit, or for as long as somebody waited."""
    errors: float = 0.0
    """Errors of the server (5xx)."""
    cut: float = 0.0
    """Streams that broke off: nobody tries them again but the client."""
    answers: float = 0.0
    """Attempts that were answered."""
    lost_s: float = 0.0
    """Seconds that passed until those that failed had failed."""
    paid_tokens: float = 0.0
    """Output tokens of streams that broke off."""
    at_s: float = -math.inf
    """As of when these figures are."""


class Seen(NamedTuple):
    """What one worker has seen of a deployment that has failed."""

    failures: int = 0
    """Since the last good answer that it knows of."""
    answers: int = 0
    """Good ones since the last failure that it knows of."""
    failed_s: float = -math.inf
    """When its last failure was,"""
    answered_s: float = -math.inf
    """and its last good answer; -inf for never."""
    losses: Losses = Losses()


class SentBefore(NamedTuple):
    """The beginning of a prompt that had been sent to a deployment before, be it kept there or not."""

    tokens: float = 0.0
    ago_s: float = 0.0
    """Since it was sent there last."""


NOTHING_SENT = SentBefore()


class Prediction(NamedTuple):
    """What is expected of one request on one deployment."""

    quality: float
    output_tokens: float
    wait_s: float
    """Time in the deployment's queue before prefill starts."""
    ttft_s: float
    """Time to first token from the moment of sending, including the wait."""
    tpot_s: float
    """Time per output token after the first."""
    e2e_s: float
    cost_usd: float


class Level(NamedTuple):
    """The level of reasoning effort that a request was sent at, with what its length is learned from."""

    name: str
    """Model and level: `MODEL@LEVEL`."""
    output_tokens: float
    """As predicted, before what was learned of the level's lengths."""
    effort: str = ""
    """The level alone."""


class Stated(NamedTuple):
    """How long a server says it took for an answer, and for what of it."""

    prompt_s: float
    """To read what was not cached of its prompt."""
    answer_s: float
    """To write it, from its first token on."""
    cached_share: float | None = None
    """Of its prompt's tokens, those that were cached; None where it does not say."""
    output_tokens: int | None = None


class Outcome(NamedTuple):
    """Predicted and measured figures of one attempt, made when the attempt is closed."""

    deployment: str
    closed_by: str
    predicted: Prediction | None
    """None where the fallback rule placed it, which predicts nothing."""
    input_tokens: int
    in_flight: float
    """Other attempts that were open on the deployment when this one was sent."""
    pending_prefill_tokens: float
    """Input tokens of others that were waiting for prefill there at that moment."""
    open_s: float
    """Seconds to the close, from when the server was asked, or from the pick where that is not known."""
    ttft_s: float | None = None
    """Measured; None where no first token was seen."""
    tpot_s: float | None = None
    """Measured, (end - first token) / (output tokens - 1); None below two output tokens."""
    output_tokens: int | None = None
    cost_usd: float | None = None
    error: str | None = None
    """Class name of the exception, for an attempt that failed."""
    first_token_learned: bool = False
    """Whether the TTFT was already learned from when the first token came."""
    chunks: int = 0
    """Chunks of its stream; 0 where they were not counted."""
    call_id: str = ""
    attempt: int = 0
    """Number of the attempt within its call, from 0."""
    at_s: float | None = None
    """When it was closed, or its first token came, on the ledger's clock."""
    cut: bool = False
    """Whether its client left before the answer was complete."""
    estimated: bool = False
    """Whether its output tokens are estimated, because no usage came."""
    in_one_piece: bool = False
    """Whether only the total time was seen; TTFT and TPOT are then shares of it, and no measurements."""
    timed: bool = True
    """False where no server was timed: a mocked answer, a background response's receipt, a websocket."""
    ahead: Ahead | None = None
    """Those of this worker that were on the server before it; None where that was lost count of, and at the
    end of an attempt whose first token has told it."""
    company: Company | None = None
    """Who was sent there with it, told at its end; None where nobody was, or where that was lost count of."""
    beside: float | None = None
    """Others that were open on the server on average while it was written: from its first token to its end,
    or all the time of an answer in one piece. None where that is not known."""
    prefilled: Prefilled | None = None
    """What was prefilled there from its first token to its end; None where that was not seen."""
    sent_before: SentBefore = NOTHING_SENT
    """The beginning of its prompt that had been sent there before,"""
    saved_tokens: float = 0.0
    """and by how many tokens `input_tokens` are fewer for that."""
    join_steps: float | None = None
    """Of a step, what it was expected to wait for its server's present one; None for the average."""
    cached_tokens: int | None = None
    """Tokens of the prompt that the server says it had cached, counted as `input_tokens` are; None where it
    does not say."""
    written_tokens: int | None = None
    """Those that it says it wrote into its cache, likewise."""
    stated: Stated | None = None
    """What the server says of its times; None where it does not."""
    choices: int = 1
    """Answers that were asked for in one (`n`); `output_tokens` is then that of the longest, as far as their
    texts tell, for which all had to wait."""
    limited: bool = False
    """Whether a limit on its tokens, such as `max_tokens`, ended the answer."""
    sending_s: float | None = None
    """Seconds from the pick until the server was asked, the proxy's own; None where not known."""
    answer_id: str = ""
    """The answer's own id, by which LiteLLM's log lists it; empty where it has none."""
    level: Level | None = None
    """None where no level of effort was chosen for it."""
    own_account: bool = False
    """Whether it was sent with credentials, or to an address, of its client's own."""
    sent_to: int | None = None
    """Row of the balancer's beliefs of what it was sent to, which the deployment's id alone does not tell:
    several models are behind a wildcard, and deployments are edited. None by the fallback rule."""

    @property
    def measured_s(self) -> float | None:
        """Seconds to the first sign of its answer: to its first token, or to the end of one in one piece."""
        return self.open_s if self.in_one_piece else self.ttft_s


@dataclass(frozen=True, slots=True)
class ModelPredictions:
    """Quality and output length of R prompts for M models, as a predictor gives them."""

    quality: FloatArray
    """(R, M) in [0, 1]; NaN where the predictor does not know the model."""
    output_tokens: FloatArray
    """(R, M) expected output tokens, capped by `max_tokens`; NaN where unknown."""
    confidence: FloatArray
    """(R, M) in [0, 1]: 0 where the figure is the model's mean, 1 where it is specific to the prompt."""
    length_quantiles: FloatArray | None = field(default=None)
    """(R, M, Q) output tokens at the predictor's quantile levels, non-decreasing along Q."""
    kinds: FloatArray | None = field(default=None)
    """(R, K) probability of each kind of prompt; None where the predictor tells none."""
    uncorrected_quality: FloatArray | None = field(default=None)
    """(R, M) before users' grades corrected it; None where nothing corrects it."""
