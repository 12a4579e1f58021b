"""Own ledger, others' gauges and elapsed time, put together."""

import numpy as np
import pytest

from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.exchange.gauges import Gauge, Load
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.reckoning import Reckoner
from tests.state.state_samples import prediction


class Worker:
    def __init__(self):
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule())
        self.peers = Peers(self.index, ttl_s=5.0)
        self.reckoner = Reckoner(self.index, self.ledger, self.peers)
        self.reckoner.row("a")
        self.reckoner.row("b")

    def open(self, deployment, now=0.0, **more):
        key = AttemptKey(f"call-{len(self.ledger)}", 0)
        self.ledger.open(key, deployment, now=now, input_tokens=100, prediction=prediction(), **more)

    def receives(self, *gauges, now=0.0):
        self.peers.update(gauges, now)


@pytest.fixture
def worker():
    return Worker()


def gauge(origin="w2", age_s=0.0, **loads):
    return Gauge(origin, age_s, {name: Load(*figures) for name, figures in loads.items()})


def test_alone_the_state_is_the_ledger(worker):
    worker.open("b")
    state = worker.reckoner.state(0.0)
    assert state.in_flight.tolist() == [0, 1]
    assert state.pending_decode_tokens.tolist() == [0, 200]


def test_own_load_and_that_of_all_peers_add_up(worker):
    worker.open("a")
    worker.receives(gauge("w2", a=(2, 10, 300, 0)), gauge("w3", a=(1, 5, 100, 0), b=(4, 0, 50, 0)))
    state = worker.reckoner.state(0.0)
    assert state.in_flight.tolist() == [4, 4]
    assert state.pending_prefill_tokens.tolist() == [115, 0]
    assert state.pending_decode_tokens.tolist() == [600, 50]


def test_workers_are_the_known_peers_and_this_one(worker):
    assert worker.reckoner.workers == 1
    worker.receives(gauge("w2"), gauge("w3"))
    assert worker.reckoner.workers == 3


def test_what_peers_said_is_advanced_by_its_age_and_by_the_time_since(worker):
    worker.receives(gauge(age_s=0.5, a=(2, 0, 300, 100)), now=10.0)
    assert worker.reckoner.state(10.0).pending_decode_tokens[0] == 250
    assert worker.reckoner.state(11.0).pending_decode_tokens[0] == 150


def test_what_peers_said_never_falls_below_a_remainder(worker):
    worker.receives(gauge(a=(2, 0, 320, 1000)))
    assert worker.reckoner.state(4.0).pending_decode_tokens[0] == 20


def test_a_peer_that_is_no_longer_named_counts_no_more(worker):
    worker.receives(gauge("w2", a=(2, 0, 0, 0)), gauge("w3", a=(3, 0, 0, 0)))
    worker.receives(gauge("w3", a=(3, 0, 0, 0)))
    assert worker.reckoner.state(0.0).in_flight[0] == 3


def test_deployments_added_after_the_gauge_came_are_found_in_it(worker):
    worker.receives(gauge(late=(7, 0, 0, 0)))
    assert worker.reckoner.state(0.0).in_flight.tolist() == [0, 0]
    row = worker.reckoner.row("late")
    assert worker.reckoner.state(0.0).in_flight[row] == 7


def test_long_ids_are_recognised_in_gauges(worker):
    from rb_litellm.state.exchange.gauges import wire_name

    long = "0123456789abcdef" * 4
    row = worker.reckoner.row(long)
    worker.receives(gauge(**{wire_name(long): (5, 0, 0, 0)}))
    assert worker.reckoner.state(0.0).in_flight[row] == 5


def test_cut_off_a_worker_counts_its_own_load_once_for_each_worker_last_seen(worker):
    worker.open("a")
    worker.receives(gauge("w2", b=(9, 0, 0, 0)), gauge("w3"))
    assert worker.reckoner.state(4.9).in_flight.tolist() == [1, 9]
    cut_off = worker.reckoner.state(5.1)
    assert cut_off.in_flight.tolist() == [3, 0]
    assert cut_off.pending_decode_tokens[0] == pytest.approx(
        3 * worker.ledger.sums(5.1).pending_decode_tokens[0]
    )


def test_once_peers_are_back_own_load_counts_once(worker):
    worker.open("a")
    worker.receives(gauge("w2"), gauge("w3"))
    worker.reckoner.state(100.0)
    worker.receives(gauge("w2", a=(1, 0, 0, 0)), now=100.0)
    assert worker.reckoner.state(100.0).in_flight[0] == 2


def test_a_store_flushed_and_answering_means_no_peers_and_not_solitude(worker):
    worker.open("a")
    worker.receives(gauge("w2"))
    worker.receives(now=1.0)
    assert worker.reckoner.state(50.0).in_flight[0] == 1


def test_slowdown_comes_from_overdue_attempts(worker):
    worker.open("a")
    assert worker.reckoner.slowdown(1.0) is None
    late = worker.reckoner.slowdown(60.0)
    assert late[0] > 5
    assert late[1] == 1


def used(origin, **figures):
    return Gauge(origin, 0.0, {}, used=figures)


def test_what_a_minute_has_used_up_is_added_over_workers(worker):
    own = np.array([[5.0, 0.0], [100.0, 0.0]])
    assert worker.reckoner.used(own, 0.0) is own
    worker.receives(gauge("w2"), now=0.0)
    assert worker.reckoner.used(own, 0.0) is own
    worker.receives(used("w2", a=(2.0, 30.0)), used("w3", b=(1.0, 10.0), unknown=(9.0, 9.0)), now=0.0)
    assert worker.reckoner.used(own, 1.0).tolist() == [[7.0, 1.0], [130.0, 10.0]]
    # Nobody is heard: the others are taken to send as much as this worker.
    assert worker.reckoner.used(own, 60.0).tolist() == [[15.0, 0.0], [300.0, 0.0]]


def test_own_attempts_are_told_apart_from_those_of_peers(worker):
    worker.open("b")
    worker.receives(gauge("w2", a=(2, 10, 300, 0)))
    assert worker.reckoner.open_here().tolist() == [0.0, 1.0]
