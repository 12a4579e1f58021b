"""Several workers before one server: each sees the ends of its own requests alone, and learns its slots all
the same."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from itertools import accumulate, count
from random import Random

import numpy as np
import pytest

from rb_litellm.core.servers.queueing import began_after
from rb_litellm.core.servers.slots import Slots
from rb_litellm.core.types import Ahead
from rb_litellm.state.departures import Departures

SERVER = 0
TTFT_S, ANSWER_S = 0.06, 1.0
SEEN_LATE_S = 0.01
"""Mean time until a worker's event loop comes to what has happened."""


@dataclass
class Served:
    """One request to a server that serves in order of arrival."""

    worker: int
    sent_s: float
    first_token_s: float
    end_s: float


def served(random: Random, slots: int, workers: int, requests: int) -> list[Served]:
    """Requests that come a little quicker than the server answers."""
    free, now, found = [0.0] * slots, 0.0, []
    for _ in range(requests):
        now += random.expovariate(1.1 * slots / (TTFT_S + ANSWER_S))
        first = max(now, heapq.heappop(free)) + TTFT_S * math.exp(random.gauss(0.0, 0.2))
        end = first + ANSWER_S * math.exp(random.gauss(-0.18, 0.6))
        heapq.heappush(free, end)
        found.append(Served(random.randrange(workers), now, first, end))
    return found


def beliefs(
    slots: int, guess: float, told: bool, workers: int, seed: int, requests: int = 200
) -> list[float]:
    """What the worker of each request believes when its first token has come."""
    random = Random(seed)
    world = served(random, slots, workers, requests)
    learned, departures = [Slots() for _ in range(workers)], [Departures() for _ in range(workers)]
    for its in learned:
        its.assume(SERVER, guess, told)
    number = count()
    events = [(r.sent_s, next(number), "sent", r) for r in world]
    for r in world:
        events.append((r.first_token_s + random.expovariate(1 / SEEN_LATE_S), next(number), "begun", r))
        events.append((r.end_s + random.expovariate(1 / SEEN_LATE_S), next(number), "ended", r))
    open_, others, arrivals, found = [0] * workers, {}, {}, []
    for now, _, what, r in sorted(events, key=lambda event: event[:2]):
        its = departures[r.worker]
        if what == "sent":
            others[id(r)] = float(sum(open_) - open_[r.worker])
            arrivals[id(r)] = its.arrived(SERVER, now)
            open_[r.worker] += 1
        elif what == "ended":
            its.ended(arrivals[id(r)], now)
            open_[r.worker] -= 1
        else:
            its.begun(arrivals[id(r)])
            ahead = its.ahead(arrivals[id(r)], r.sent_s)
            if ahead is not None and ahead.requests:
                ahead = ahead._replace(others=others[id(r)])
                took = now - r.sent_s
                learned[r.worker].observe(
                    SERVER, ahead, ahead.share, took, lambda n: np.full(n.size, TTFT_S), 20
                )
                found.append(learned[r.worker].of(SERVER))
    return found


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("slots", [2, 8])
def test_slots_that_are_told_rightly_stay_whoever_else_sends(slots, workers):
    """By ends of which it saw half, a worker took eight for eleven, or for 2,048: it forecast no wait."""
    for seed in range(5):
        believed = np.array(beliefs(slots, slots, True, workers, seed))
        assert np.mean(believed == slots) > 0.9


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize(("guess", "told"), [(256.0, False), (16.0, True), (4.0, True)])
def test_slots_that_were_guessed_wrongly_are_found_whoever_else_sends(guess, told, workers):
    for seed in range(5):
        late = np.array(beliefs(8, guess, told, workers, seed, requests=400)[-100:])
        assert 6 <= np.median(late) <= 10


def test_of_own_and_others_ends_any_may_have_come_first():
    """Of two own and two others on three slots two have to end: none, one or two of its own."""
    (probability,) = began_after(Ahead(2, (0.1, 0.2)), np.array([3.0]), 0.5, 2)
    assert probability.tolist() == pytest.approx([1 / 6, 4 / 6, 1 / 6])


def test_where_a_slot_was_free_nobody_had_to_end():
    (probability,) = began_after(Ahead(2, (0.1, 0.2)), np.array([8.0]), 0.5, 2)
    assert probability.tolist() == [1.0, 0.0, 0.0]


def test_what_is_not_seen_yet_is_missing_from_one():
    """The third of three own has not ended: with one slot the request has not begun."""
    (probability,) = began_after(Ahead(3, (0.1, 0.2)), np.array([1.0]), 0.75, 2)
    assert list(accumulate(probability))[-1] < 1.0
