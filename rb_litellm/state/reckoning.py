"""Dead reckoning: the present state of instances from known positions and the time that has passed since.

No instance is asked here and no store is read. Own load is exact. The other workers' load was published some
hundred milliseconds ago and is advanced: their pending decode tokens have fallen at the rate that they
published. (The term is from navigation, and from distributed simulations, IEEE 1278, that advance the last
known state of remote objects between updates.)

While the store is down, a worker that last saw k peers counts its own load k + 1 times: traffic is spread
evenly over workers, so its own share is the best estimate of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from rb_litellm.core.types import FloatArray, InstanceState, Seen
from rb_litellm.state.exchange.gauges import Gauge, wire_name
from rb_litellm.state.external_load import ExternalLoad
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger

_REMAINDER = 1.0 / 16.0
"""Least share of the peers' decode tokens that is left, since their attempts are not known to have ended."""


class Peers:
    """The last gauges of the other workers, added up per row of the index.

    All gauges are replaced together, so that reading them from another thread is safe.
    """

    def __init__(self, index: DeploymentIndex, ttl_s: float = 5.0) -> None:
        self._index = index
        self.ttl_s = ttl_s
        """Gauges older than this are not used."""
        self._latest: tuple[tuple[Gauge, ...], float] = ((), -np.inf)
        self._row_of: dict[str, int] = {}
        self._failing: tuple[tuple[Gauge, ...], Mapping[str, Sequence[Seen]]] | None = None
        self._added: tuple[tuple[Gauge, ...], FloatArray] | None = None

    def update(self, gauges: Iterable[Gauge], now: float) -> None:
        """Replace all earlier gauges. The ages of the new ones are those at `now`."""
        self._latest = (tuple(gauges), now)

    @property
    def gauges(self) -> tuple[Gauge, ...]:
        """The last gauge of each peer; kept while no answer comes."""
        return self._latest[0]

    def silence_s(self, now: float) -> float:
        """Seconds since the last answer; inf before the first."""
        return now - self._latest[1]

    def alone(self, now: float) -> bool:
        """Whether there were peers whose gauges are now too old to use."""
        return bool(self._latest[0]) and self.silence_s(now) > self.ttl_s

    def sums(self, now: float, rows: int) -> InstanceState:
        """The peers' load on the first `rows` rows of the index, advanced to `now`."""
        gauges, received_s = self._latest
        if not gauges:
            return InstanceState.idle(rows)
        # Added up once per answer (and when a row is added), not once per decision.
        added = self._added
        if added is None or added[0] is not gauges or added[1].shape[1] != rows:
            added = self._added = (gauges, self._add_up(gauges, rows))
        in_flight, prefill, decode, rate, fallen_before = added[1]
        fallen = rate * max(now - received_s, 0.0) + fallen_before
        return InstanceState(in_flight, prefill, np.maximum(decode - fallen, decode * _REMAINDER))

    def used(self, rows: int) -> FloatArray | None:
        """(2, rows) requests and tokens that the peers sent in a minute; None where none was told."""
        gauges, _ = self._latest
        if not any(gauge.used for gauge in gauges):
            return None
        self._name_rows(rows)
        sums = np.zeros((2, rows))
        for gauge in gauges:
            for name, two in gauge.used.items():
                if (row := self._row_of.get(name)) is not None:
                    sums[:, row] += two
        return sums

    def failing(self) -> Mapping[str, Sequence[Seen]]:
        """What the peers have seen of what fails, by name on the wire; the same object until news.

        Times are on this worker's clock.
        """
        gauges, received_s = self._latest
        if self._failing is None or self._failing[0] is not gauges:
            found: dict[str, list[Seen]] = {}
            for gauge in gauges:
                told_s = received_s - gauge.age_s
                for name, seen in gauge.failing.items():
                    found.setdefault(name, []).append(
                        seen._replace(failed_s=told_s + seen.failed_s, answered_s=told_s + seen.answered_s)
                    )
            self._failing = (gauges, found)
        return self._failing[1]

    def _name_rows(self, rows: int) -> None:
        if rows != len(self._row_of):
            self._row_of = {wire_name(id_): row for row, id_ in enumerate(self._index.ids[:rows])}

    def _add_up(self, gauges: tuple[Gauge, ...], rows: int) -> FloatArray:
        self._name_rows(rows)
        known, figures = [], []
        for gauge in gauges:
            age_s = gauge.age_s
            for name, (in_flight, prefill, decode, rate) in gauge.loads.items():
                row = self._row_of.get(name)
                if row is not None:
                    known.append(row)
                    figures.append((in_flight, prefill, decode, rate, rate * age_s))
        if not known:
            return np.zeros((5, rows))
        columns = np.array(figures, dtype=np.float64).T
        return np.array([np.bincount(known, column, minlength=rows) for column in columns])


class Reckoner:
    """The state of every deployment in the index, from the ledger and the peers."""

    def __init__(
        self, index: DeploymentIndex, ledger: Ledger, peers: Peers, external: ExternalLoad | None = None
    ) -> None:
        """`external` is load that did not pass through any worker, where servers are asked for it."""
        self._index = index
        self._ledger = ledger
        self._peers = peers
        self._external = external

    @property
    def workers(self) -> int:
        """Number of workers that send requests: this one and its known peers."""
        return 1 + len(self._peers.gauges)

    def row(self, deployment: str) -> int:
        """The deployment's row in the arrays below."""
        return self._index.row(deployment)

    def place(self, deployment: str, address: str) -> None:
        """The deployment is on the server at this address; empty for one of its own."""
        self._index.place(deployment, address)

    def server(self, deployment: str) -> int:
        """The number of the server that the deployment is on."""
        return self._index.server(self._index.row(deployment))

    def state(self, now: float) -> InstanceState:
        """Load that each deployment meets at `now` (monotonic s): all that is open on its server.

        Arrays have one row per row of the index.
        """
        known = self._by_server(self.known(now))
        return known if self._external is None else self._external.add_to(known, now)

    def _by_server(self, state: InstanceState) -> InstanceState:
        add_up = self._index.by_server
        return InstanceState(
            add_up(state.in_flight),
            add_up(state.pending_prefill_tokens),
            add_up(state.pending_decode_tokens),
        )

    def known(self, now: float) -> InstanceState:
        """The part of the load of each deployment itself that passed through this worker or its peers."""
        own = self._ledger.sums(now)
        peers = len(self._peers.gauges)
        if not peers:
            return own
        if self._peers.alone(now):
            factor = peers + 1.0
            return InstanceState(
                own.in_flight * factor,
                own.pending_prefill_tokens * factor,
                own.pending_decode_tokens * factor,
            )
        others = self._peers.sums(now, own.in_flight.size)
        return InstanceState(
            own.in_flight + others.in_flight,
            own.pending_prefill_tokens + others.pending_prefill_tokens,
            own.pending_decode_tokens + others.pending_decode_tokens,
        )

    def failing_elsewhere(self) -> Mapping[str, Sequence[Seen]]:
        """What other workers have seen of deployments that fail, by name on the wire; the same until news."""
        return self._peers.failing()

    def open_here(self) -> FloatArray:
        """Attempts of this worker alone, per row of the index."""
        return self._ledger.counts()

    def used(self, own: FloatArray, now: float) -> FloatArray:
        """(2, N) requests and tokens of a minute of all workers, where this one sent `own` (2, N)."""
        peers = len(self._peers.gauges)
        if not peers:
            return own
        if self._peers.alone(now):
            return own * (peers + 1.0)
        others = self._peers.used(own.shape[1])
        return own if others is None else own + others

    def cap_decode_rate(self, deployment: str, tpot_s: float) -> None:
        """Let open attempts on the deployment decode no faster than one token every `tpot_s`."""
        self._ledger.cap_decode_rate(deployment, tpot_s)

    def slowdown(self, now: float) -> FloatArray:
        """How many times slower than predicted each deployment is, by its open attempts; at least 1."""
        return self._ledger.overdue(now)
