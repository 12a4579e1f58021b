"""Total times of many lengths tell both parts; one alone moves what it is mostly made of."""

import math
from random import Random

from rb_litellm.core.latency.learning.total_time import OF_DEPLOYMENT, OF_TIER, TotalTime


def test_a_total_moves_what_it_is_mostly_made_of():
    tpot, ttft = TotalTime(OF_DEPLOYMENT).observe(0.9, 0.5, 0.0)
    assert tpot > 5.0 * ttft > 0.0


def test_totals_of_many_lengths_tell_both_parts():
    # Believed 0.5 s + 12 ms a token; true 2 s + 10 ms.
    of, random, scales = TotalTime(OF_DEPLOYMENT), Random(0), [0.0, 0.0]
    for _ in range(300):
        steps = random.randint(10, 200)
        parts = [0.012 * math.exp(scales[0]) * steps, 0.5 * math.exp(scales[1])]
        error = math.log((2.0 + 0.010 * steps) / sum(parts))
        for kind, move in enumerate(of.observe(parts[0] / sum(parts), error, 0.0)):
            scales[kind] += move
    assert abs(0.5 * math.exp(scales[1]) - 2.0) < 0.1
    assert abs(0.012 * math.exp(scales[0]) - 0.010) < 0.001


def test_where_a_tier_is_doubted_its_deployment_moves_less():
    alone = TotalTime(OF_DEPLOYMENT).observe(0.5, 1.0, 0.0)
    doubted = TotalTime(OF_DEPLOYMENT).observe(0.5, 1.0, 0.0, doubt=OF_TIER)
    assert all(0.0 < less < 0.5 * more for less, more in zip(doubted, alone, strict=True))
