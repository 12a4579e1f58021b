"""What a request may have beside one answer of one deployment, as plain loops that numba compiles.

What they compute is said where NumPy does it: several answers of one model in `best_of.figures`, a second
model's answer in `cascade.figures`. Figures are the same to the last bit. Arrays are (N,) unless said
otherwise; K are the candidates that are offered.
"""

from __future__ import annotations

import math

import numpy as np

from rb_litellm.core.compiled.decision_loops import forecast_times, load_parts
from rb_litellm.core.types import BoolArray, FloatArray, IntArray


def best_of_models(scores: FloatArray, allowed: BoolArray, models: IntArray, best: IntArray) -> None:
    """Fill in the allowed row with the highest score of each model; -1 where none of it is allowed."""
    best[:] = -1
    for row in range(scores.size):
        its = models[row]
        if allowed[row] and (best[its] < 0 or scores[row] > scores[best[its]]):
            best[its] = row


def take_first(best: IntArray, figures: FloatArray, scores: FloatArray) -> int:
    """The row of the highest figure of those that are left in `best`, ties by score; it is taken out of them.

    -1 where none is left.
    """
    found = -1
    for its in range(best.size):
        row = best[its]
        if row < 0:
            continue
        if found >= 0:
            other = best[found]
            one, two = (figures[row], scores[row], -row), (figures[other], scores[other], -other)
            if one <= two:
                continue
        found = its
    if found < 0:
        return -1
    first: int = best[found]
    best[found] = -1
    return first


def sample_figures(
    tpot_s: FloatArray,
    tpot_s_per_running: FloatArray,
    prefill_share: FloatArray,
    ttft_s: FloatArray,
    ttft_s_per_running: FloatArray,
    prefill_s_per_token: FloatArray,
    ridge_tokens: FloatArray,
    slots: FloatArray,
    join_steps: FloatArray,
    in_flight: FloatArray,
    pending_prefill: FloatArray,
    pending_decode: FloatArray,
    scores: FloatArray,
    allowed: BoolArray,
    models: IntArray,
    quality: FloatArray,
    output_tokens: FloatArray,
    prefill_tokens: FloatArray,
    burden_s: FloatArray,
    output_usd: FloatArray,
    choices: IntArray,
    longer: FloatArray,
    discernment: float,
    correlation: float,
    longest_tokens: float,
    judge_usd: float,
    judge_usd_per_token: float,
    shown_prompt: float,
    most_shown: float,
    best: IntArray,
    most_models: int,
    rows: IntArray,
    counts: IntArray,
    figures: FloatArray,
) -> int:
    """Fill in which deployments may be asked for how many answers, and the `SampleFigures` of each, (10, K).

    Returns how many such candidates there are; there is room for all (K,). `best` has room for each model.
    `choices` are the numbers of answers that one may be asked for, and `longer`, by such a number, how many
    times longer than one the longest is.
    """
    offered = 0
    best_of_models(scores, allowed, models, best)
    for _ in range(most_models):
        row = take_first(best, scores, scores)
        if row < 0:
            break
        for choice in range(choices.size):
            if choices[choice] <= slots[row]:
                rows[offered], counts[offered] = row, choices[choice]
                figures[7, offered] = longer[choices[choice]]
                offered += 1
    its = np.empty((14, offered))
    for at in range(offered):
        row, further = rows[at], counts[at] - 1.0
        tokens = output_tokens[row]
        its[0, at], its[1, at], its[2, at] = tpot_s[row], tpot_s_per_running[row], prefill_share[row]
        its[3, at], its[4, at], its[5, at] = ttft_s[row], ttft_s_per_running[row], prefill_s_per_token[row]
        its[6, at], its[7, at], its[8, at] = ridge_tokens[row], slots[row], join_steps[row]
        its[9, at], its[10, at] = in_flight[row] + further, pending_prefill[row]
        its[11, at] = pending_decode[row] + further * tokens
        its[12, at] = prefill_tokens[row]
        its[13, at] = min(tokens * figures[7, at], max(longest_tokens, tokens))
    parts, times = np.empty((10, offered)), np.empty((5, offered))
    load_parts(
        its[0], its[1], its[2], its[3], its[4], its[5], its[6], its[7], its[8], its[9], its[10],
        its[11], 0, offered, parts,
    )  # fmt: skip
    forecast_times(parts, its[12], its[13], times)
    apart = 1.0 - correlation
    for at in range(offered):
        row, further = rows[at], counts[at] - 1.0
        tokens, one = output_tokens[row], quality[row]
        growth = tpot_s_per_running[row] * (1.0 - prefill_share[row])
        decoding_s = growth * min(min(in_flight[row], slots[row]) * tokens, pending_decode[row])
        right = one
        if correlation < 1.0:
            none = 1.0
            for drawn in range(counts[at]):
                none *= ((1.0 - one) * apart + drawn * correlation) / (apart + drawn * correlation)
            right = 1.0 - none
        figures[0, at], figures[1, at], figures[2, at] = times[0, at], times[1, at], times[2, at]
        figures[3, at] = times[3, at]
        figures[4, at] = burden_s[row] + further * decoding_s
        figures[5, at] = right
        figures[6, at] = one + discernment * (right - one)
        figures[7, at] = its[13, at]
        shown = counts[at] * min(tokens, most_shown)
        figures[8, at] = judge_usd + judge_usd_per_token * (shown_prompt + shown)
        figures[9, at] = further * tokens * output_usd[row]
    return offered


def pair_figures(
    scores: FloatArray,
    allowed: BoolArray,
    models: IntArray,
    quality: FloatArray,
    output_tokens: FloatArray,
    priced_usd: FloatArray,
    e2e_s: FloatArray,
    burden_s: FloatArray,
    accepts_right: float,
    accepts_wrong: float,
    dependence: float,
    judge_s: float,
    judge_usd: float,
    judge_usd_per_token: float,
    most_shown: float,
    input_tokens: float,
    best: IntArray,
    most_models: int,
    first: IntArray,
    second: IntArray,
    figures: FloatArray,
) -> int:
    """Fill in which deployments may answer one after the other, and the `PairFigures` of each pair, (8, K).

    Returns how many pairs there are; there is room for all (K,). `best` has room for each model.
    """
    able = np.empty(most_models, dtype=np.int64)
    count = 0
    best_of_models(scores, allowed, models, best)
    while count < most_models:
        row = take_first(best, quality, scores)
        if row < 0:
            break
        able[count] = row
        count += 1
    offered = 0
    best_of_models(scores, allowed, models, best)
    for _ in range(most_models):
        row = take_first(best, scores, scores)
        if row < 0:
            break
        for other in range(count):
            if able[other] != row:
                first[offered], second[offered] = row, able[other]
                offered += 1
    for at in range(offered):
        i, j = first[at], second[at]
        one, two = quality[i], quality[j]
        spread = math.sqrt(one * (1.0 - one) * two * (1.0 - two))
        both = min(one * two + dependence * spread, min(one, two))
        both = max(both, max(one + two - 1.0, 0.0))
        right = accepts_right * one + (1.0 - accepts_right) * both
        share = (1.0 - accepts_right) * one + (1.0 - accepts_wrong) * (1.0 - one)
        verdict_usd = judge_usd + judge_usd_per_token * min(input_tokens + output_tokens[i], most_shown)
        figures[0, at] = share
        figures[1, at] = right + (1.0 - accepts_wrong) * (two - both)
        figures[2, at] = verdict_usd
        figures[3, at] = priced_usd[i] + verdict_usd + share * priced_usd[j]
        figures[4, at] = e2e_s[i] + judge_s
        figures[5, at] = figures[4, at] + e2e_s[j]
        figures[6, at] = burden_s[i]
        figures[7, at] = burden_s[i] + burden_s[j]
    return offered
