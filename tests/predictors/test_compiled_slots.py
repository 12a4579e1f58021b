"""What a compiled loop says of a server's slots is what NumPy says, but for the last bit of a logarithm.

The loop is plain Python: without numba it is tested uncompiled.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.servers.slots import Slots
from rb_litellm.core.types import Ahead
from rb_litellm.predictors.compiled import loading

SERVER = 0
LOGARITHM = 1e-9

times = st.floats(0.0, 30.0)
requests = st.tuples(
    st.builds(lambda there, ended: Ahead(there, tuple(sorted(ended)[:there])), st.integers(0, 40),
              st.lists(times, max_size=40)),
    st.sampled_from([0.5, 0.9, 0.97, 1.0]),
    st.floats(1e-3, 60.0),
    st.floats(1e-3, 60.0),
    st.integers(0, 50),
    st.booleans(),
    st.booleans(),
)  # fmt: skip


@lru_cache(maxsize=1)
def loops() -> Loops:
    return loading.load() if loading.available() else loading.UNCOMPILED


@pytest.fixture(autouse=True)
def no_loops():
    yield
    IN_USE.loops = None


def served(slots: Slots, ahead, share, measured_s, expected_s, known, in_one_piece, in_any_order):
    numbers, _ = slots.hypotheses(SERVER)
    before = np.arange(numbers.size) % 5.0 if in_any_order else None
    share = 1.0 if in_any_order else share
    return slots.observe(
        SERVER, ahead, share, measured_s, lambda c: expected_s * (1.0 + 1.0 / c), known, in_one_piece, before
    )


@given(st.sampled_from([1.0, 4.0, 2.5, 256.0]), st.lists(requests, min_size=1, max_size=12))
def test_slots_are_learned_as_by_numpy(guess: float, many):
    by_numpy, by_loop = Slots(), Slots()
    for slots in (by_numpy, by_loop):
        slots.assume(SERVER, guess)
    for one in many:
        IN_USE.loops = None
        expected_s = served(by_numpy, *one)
        IN_USE.use(loops(), pytest.fail)
        assert served(by_loop, *one) == expected_s
        assert by_loop.of(SERVER) == by_numpy.of(SERVER)
        its = by_numpy._servers[SERVER], by_loop._servers[SERVER]
        for learned in ("quicker", "doubt", "evidence"):
            np.testing.assert_allclose(*(getattr(server, learned) for server in its), LOGARITHM, LOGARITHM)
