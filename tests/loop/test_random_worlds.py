"""Whatever happened before: some time after a world has settled, its requests go where they should.

`ROUTEBALANCE_WORLDS=10000 pytest tests/loop/test_random_worlds.py` looks at as many random worlds.
"""

import math
import os

from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from rb_litellm.core.decision.scoring import PRESETS, score
from tests.loop.world import Server, Traffic, World

WORLDS = int(os.environ.get("ROUTEBALANCE_WORLDS", "12"))
TRAFFIC = Traffic(per_s=1.0, tokens=(60, 140), streams=0.7, timeout_s=30.0)
BEGINS_S, SETTLES_S = 60.0, 180.0
WITHIN_S = 900.0
"""Time after which all must be well again, which is 900 requests here: trials are a share of them."""
JUDGED_S = 240.0
CLEAR = 0.04
"""Score by which the best must lead: between equals any share is right."""


@st.composite
def servers(draw, number):
    """A server of its own model, and what happens to it until the world settles."""
    ttft_s, tpot_s = draw(st.floats(0.05, 1.5)), draw(st.floats(0.004, 0.05))
    what = draw(st.sampled_from(["nothing", "slow", "quick", "hangs", "fails", "cold"]))
    factor = draw(st.floats(1.5, 20.0))
    starts = draw(st.floats(0.0, BEGINS_S))

    def wrong(now):
        return starts <= now < SETTLES_S

    hosted = draw(st.booleans())
    made = Server(
        f"d{number}", ttft_s, tpot_s, draw(st.floats(0.3, 0.9)), draw(st.floats(0.3, 3.0)),
        f"x/m{number}", hosted, growth=0.0 if hosted else 1.0 / 256.0,
    )  # fmt: skip
    if what in ("slow", "quick"):
        made.slower = lambda now: (factor if what == "slow" else 1.0 / factor) if wrong(now) else 1.0
    elif what == "hangs":
        made.hangs = wrong
    elif what == "fails":
        made.fails = wrong
    elif what == "cold":
        made.cold_s, made.warm_from_s = factor, SETTLES_S
    return made


worlds = st.integers(2, 4).flatmap(lambda n: st.tuples(*(servers(number=i) for i in range(n))))


def settled(its):
    """The same servers with nothing happening to them."""
    return [
        Server(s.id, s.ttft_s, s.tpot_s, s.quality, s.usd_per_million, s.model, s.hosted, s.growth)
        for s in its
    ]


def lead(its):
    """By how much the best server leads, for a request of the usual size."""
    import numpy as np

    tokens = sum(TRAFFIC.tokens) / 2.0
    scores = score(
        np.array([s.quality for s in its]),
        np.array([s.ttft_s + (tokens - 1.0) * s.tpot_s for s in its]),
        np.array([(TRAFFIC.input_tokens + tokens) * s.usd_per_million / 1e6 for s in its]),
        np.ones(len(its), bool), PRESETS["balanced"], norm="absolute",
    )  # fmt: skip
    first, second = sorted(scores.tolist())[::-1][:2]
    return first - second


# A world takes a quarter of a second: shrinking one that fails would take longer than reading it.
@settings(max_examples=WORLDS, deadline=None, print_blob=True, phases=(Phase.explicit, Phase.generate))
@given(worlds, st.integers(0, 99))
def test_after_a_while_requests_go_where_they_would_if_nothing_had_happened(its, seed):
    assume(lead(its) > CLEAR)
    start, end = SETTLES_S + WITHIN_S, SETTLES_S + WITHIN_S + JUDGED_S
    world = World(its, TRAFFIC, seed=seed).run(end)
    knowing = World(settled(its), TRAFFIC, seed=seed, knowing=True).run(JUDGED_S)
    for s in its:
        share, right = world.share(s.id, start, end), knowing.share(s.id, 0.0, JUDGED_S)
        assert abs(share - right) <= 0.1, (s.id, share, right)
    mean, right = world.mean_e2e_s(start, end), knowing.mean_e2e_s(0.0, JUDGED_S)
    assert not math.isnan(mean)
    assert mean <= 1.1 * right + 0.02, (mean, right)
