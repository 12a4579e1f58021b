"""Candidates that a request does not get though LiteLLM's filters have left them, and why.

They answer nobody at present, or their server has stated a context window that is too short for the request,
or their operator has drained them by a weight of 0, which `core.decision.shares` sees to.
Where nobody else is left, nobody is passed over.
"""

from __future__ import annotations

from collections.abc import Sequence

from rb_litellm.balancing.beliefs import Beliefs
from rb_litellm.balancing.candidates import CandidateSet
from rb_litellm.core.types import BoolArray, Prompt

OUTAGE, SHORT_WINDOW, DRAINED = "outage", "context window", "weight 0"


def left_of(
    masks: Sequence[BoolArray],
    prompts: Sequence[Prompt],
    may_probe: Sequence[bool],
    candidate_set: CandidateSet,
    beliefs: Beliefs,
    now: float,
) -> Sequence[BoolArray]:
    """The masks (N,) of R requests without those that are passed over.

    Of those that may, one request may look whether a deployment that answered nobody is back.
    """
    masks = _without_short_windows(masks, prompts, candidate_set, beliefs)
    return _without_outages(masks, may_probe, candidate_set, beliefs, now)


def why(left: BoolArray, prompt: Prompt, candidate_set: CandidateSet, beliefs: Beliefs) -> dict[int, str]:
    """Why a request that wants the whole set has not all of it left (N,), by row."""
    (taken,) = (~left).nonzero()
    if not taken.size:
        return {}
    fits = beliefs.windows.fits(candidate_set.rows, prompt) | candidate_set.window_told
    found = {}
    for row in taken.tolist():
        if not fits[row]:
            found[row] = SHORT_WINDOW
        elif beliefs.outages.is_out(int(candidate_set.rows[row])):
            found[row] = OUTAGE
        else:
            found[row] = DRAINED
    return found


def _without_short_windows(
    masks: Sequence[BoolArray], prompts: Sequence[Prompt], candidate_set: CandidateSet, beliefs: Beliefs
) -> Sequence[BoolArray]:
    if not beliefs.windows.any_stated:
        return masks
    found = []
    for prompt, mask in zip(prompts, masks, strict=True):
        fits = beliefs.windows.fits(candidate_set.rows, prompt) | candidate_set.window_told
        left = mask if fits.all() else mask & fits
        found.append(left if left.any() else mask)
    return found


def _without_outages(
    masks: Sequence[BoolArray],
    may_probe: Sequence[bool],
    candidate_set: CandidateSet,
    beliefs: Beliefs,
    now: float,
) -> Sequence[BoolArray]:
    if not beliefs.outages.any_out:
        return masks
    found = []
    probing = True
    for may, mask in zip(may_probe, masks, strict=True):
        probes = probing and may
        probing = probing and not probes
        out = beliefs.outages.passed_over(candidate_set.rows, now, probes)
        left = mask if out is None else mask & ~out
        found.append(left if left.any() else mask)
    return found
