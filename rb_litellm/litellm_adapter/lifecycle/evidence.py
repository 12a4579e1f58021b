"""What the usage that an answer tells makes of its attempt: times, as far as they belong to its tokens."""

from __future__ import annotations

from typing import NamedTuple

from rb_litellm.core.latency.measurement import measured
from rb_litellm.core.types import Outcome, Stated

_OTHER_CLOCK_S = 0.05
"""A server may state so much more than was measured."""
_SHOWN = 0.5
"""With fewer chunks than this share of its tokens, a reasoning model has not streamed its thoughts."""


class Usage(NamedTuple):
    """What an answer says of its tokens beside their number."""

    timed: bool = True
    """False for the receipt of a background response."""
    estimated: bool = False
    """The answer told no usage; its tokens are estimated from its text."""
    reasoning_tokens: int = 0
    """Of its tokens, those that it thought and may not have shown."""
    prompt_tokens: int | None = None
    """Its input tokens as the server counts them, cached ones among them; None where it does not say."""
    cached_tokens: int | None = None
    """Of its input tokens, those that the server had cached; None where it does not say."""
    written_tokens: int | None = None
    """Of its input tokens, those that the server wrote into its cache; None where it does not say."""
    stated: Stated | None = None
    """What the server says of its times."""
    limited: bool = False
    """A limit on its tokens ended it."""
    answer_id: str = ""
    """Its own id."""
    longest: float | None = None
    """Of the text of several answers in one, the share that the longest has; None where they have none."""


TOLD = Usage()
"""The usage of most answers: told, and all of it shown."""


def as_evidence(outcome: Outcome, output_tokens: int, cost_usd: float | None, usage: Usage) -> Outcome:
    """The outcome measured, as far as its tokens and times belong together."""
    if not usage.timed or usage.estimated:
        outcome = outcome._replace(timed=outcome.timed and usage.timed, estimated=usage.estimated)
    stated = _as_measured(usage.stated or outcome.stated, outcome)
    if stated is not None and stated.output_tokens and outcome.choices == 1:
        # Of a stream without usage LiteLLM's number is an estimate.
        output_tokens = stated.output_tokens
    cached = _as_counted_here(usage.cached_tokens, usage, outcome)
    if cached is None and stated is not None and stated.cached_share is not None:
        cached = _of_prompt(stated.cached_share, outcome)
    outcome = outcome._replace(
        stated=stated,
        cached_tokens=cached,
        written_tokens=_as_counted_here(usage.written_tokens, usage, outcome),
        limited=usage.limited,
        answer_id=usage.answer_id,
    )
    each = output_tokens
    if outcome.choices > 1:
        # The last of them to be there is the one that was waited for.
        each = round(output_tokens * (usage.longest or 1.0 / outcome.choices))
    result = measured(outcome, each, cost_usd)
    if outcome.cut:
        # The usage may be that of the whole answer, which the server went on writing.
        return result._replace(tpot_s=None, in_one_piece=False)
    if usage.reasoning_tokens and 0 < outcome.chunks < _SHOWN * output_tokens:
        # What was thought came before the first chunk: only the total time belongs to all of the tokens.
        return result._replace(tpot_s=outcome.open_s / max(each, 1), in_one_piece=True)
    return result


def _as_counted_here(tokens: int | None, usage: Usage, outcome: Outcome) -> int | None:
    """The same part of the prompt by this proxy's count of it: its tokenizer is not the server's."""
    if not tokens or not usage.prompt_tokens:
        return tokens
    return _of_prompt(tokens / usage.prompt_tokens, outcome)


def _of_prompt(share: float, outcome: Outcome) -> int:
    return round(min(share, 1.0) * (outcome.input_tokens + outcome.saved_tokens))


def _as_measured(stated: Stated | None, outcome: Outcome) -> Stated | None:
    """What a server states of its times, unless more passed by that than was measured here."""
    if stated is None:
        return None
    whole_s = stated.prompt_s + stated.answer_s
    first_s = outcome.open_s if outcome.ttft_s is None else outcome.ttft_s
    possible = whole_s <= outcome.open_s + _OTHER_CLOCK_S and stated.prompt_s <= first_s + _OTHER_CLOCK_S
    return stated if possible else None
