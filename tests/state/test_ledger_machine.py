"""Any order of opens, closes, first tokens and lapses of time: the ledger equals a plain model of it."""

from collections import Counter

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rb_litellm.core.servers.streams import Chunks
from rb_litellm.core.types import Prediction
from rb_litellm.state.attempt import AttemptKey, LeaseRule
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger

DEPLOYMENTS = st.sampled_from(["a", "b", "c"])
CALLS = st.sampled_from([f"call-{i}" for i in range(5)])
ENDS = st.sampled_from(["success", "failure", "next-pick", "failure-hook", "task-end", "stream-end"])
SECONDS = st.floats(0.0, 100.0)
FIGURES = st.one_of(st.floats(0.0, 1e4), st.floats(allow_nan=True, allow_infinity=True))
PREDICTIONS = st.none() | st.builds(Prediction, FIGURES, FIGURES, FIGURES, FIGURES, FIGURES, FIGURES, FIGURES)


class LedgerMachine(RuleBasedStateMachine):
    @initialize(max_open=st.sampled_from([3, 1000]))
    def start(self, max_open):
        self.index = DeploymentIndex()
        self.ledger = Ledger(self.index, LeaseRule(4.0, 30.0, 900.0), max_open=max_open, max_closed_calls=100)
        self.max_open = max_open
        self.now = 0.0
        self.open: dict[AttemptKey, str] = {}
        self.streaming: set[AttemptKey] = set()
        self.sent: dict[str, list[str]] = {}
        self.ended = 0

    @rule(
        call=CALLS,
        deployment=DEPLOYMENTS,
        prediction=PREDICTIONS,
        tokens=st.integers(0, 10**6),
        streams=st.booleans(),
    )
    def pick(self, call, deployment, prediction, tokens, streams):
        key = AttemptKey(call, self.ledger.next_attempt(call))
        assert key.attempt == len(self.sent.get(call, []))
        full = len(self.open) == self.max_open
        self.ledger.open(
            key, deployment, now=self.now, input_tokens=tokens, prediction=prediction, streams=streams
        )
        self.sent.setdefault(call, []).append(deployment)
        self.open[key] = deployment
        if full:
            [victim] = [k for k in self.open if not self.ledger.is_open(k)]
            del self.open[victim]
            self.ended += 1

    @rule(call=CALLS, attempt=st.integers(0, 8), end=ENDS, tokens=st.none() | st.integers(0, 10**5))
    def close(self, call, attempt, end, tokens):
        key = AttemptKey(call, attempt)
        outcome = self.ledger.close(key, self.now, end, output_tokens=tokens)
        assert (outcome is not None) == (key in self.open)
        if outcome is not None:
            assert outcome.deployment == self.open.pop(key)
            assert outcome.open_s >= 0.0
            self.ended += 1

    @rule(call=CALLS, attempt=st.integers(0, 8), counted=st.booleans())
    def first_token(self, call, attempt, counted):
        key = AttemptKey(call, attempt)
        begun = self.ledger.first_token(key, self.now, Chunks() if counted else None)
        if begun is not None and counted:
            self.streaming.add(key)

    @rule(deployment=DEPLOYMENTS, tpot_s=st.floats(0.0, 1e3))
    def cap_decode_rate(self, deployment, tpot_s):
        self.ledger.cap_decode_rate(deployment, tpot_s)

    @rule(seconds=SECONDS)
    def wait(self, seconds):
        self.now += seconds

    @precondition(lambda self: self.now < 1e5)
    @rule()
    def expire(self):
        for outcome in self.ledger.expire(self.now):
            assert outcome.closed_by in ("lease", "bound")
        lapsed = [key for key in self.open if not self.ledger.is_open(key)]
        for key in lapsed:
            del self.open[key]
        self.ended += len(lapsed)

    @rule()
    def quiesce(self):
        for key in list(self.open):
            assert self.ledger.close(key, self.now, "success") is not None
            self.ended += 1
        self.open.clear()
        sums = self.ledger.sums(self.now)
        assert not sums.in_flight.any()
        assert not sums.pending_prefill_tokens.any()
        assert not sums.pending_decode_tokens.any()

    @invariant()
    def counts_are_those_of_the_model(self):
        sums = self.ledger.sums(self.now)
        model = Counter(self.open.values())
        assert dict(zip(self.index.ids, sums.in_flight, strict=True)) == {d: model[d] for d in self.index.ids}
        assert all(self.ledger.open_count(d) == model[d] for d in "abc")
        assert len(self.ledger) == len(self.open) <= self.max_open

    @invariant()
    def nothing_is_ever_negative_or_no_number(self):
        sums = self.ledger.sums(self.now)
        for array in (sums.in_flight, sums.pending_prefill_tokens, sums.pending_decode_tokens):
            assert np.isfinite(array).all()
            assert (array >= 0.0).all()
        slowdown = self.ledger.overdue(self.now)
        assert np.isfinite(slowdown).all()
        assert (slowdown >= 1.0).all()

    @invariant()
    def the_streams_are_those_begun_and_still_open(self):
        told = Counter(stream.deployment for stream in self.ledger.streams(1000))
        assert told == Counter(self.open[key] for key in self.streaming & self.open.keys())

    @invariant()
    def every_attempt_ends_once(self):
        assert sum(self.ledger.closed.values()) == self.ended
        assert sum(map(len, self.sent.values())) == self.ended + len(self.open)

    @invariant()
    def calls_know_their_attempts(self):
        for call, deployments in self.sent.items():
            assert self.ledger.tried(call) == set(deployments)
            still = [key.attempt for key in self.open if key.call_id == call]
            latest = self.ledger.latest_open(call)
            assert (latest and latest.attempt) == (max(still) if still else None)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
