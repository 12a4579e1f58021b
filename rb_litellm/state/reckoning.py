"""Dead reckoning: the present state of instances from known positions and the time that has passed since.

No instance is asked here and no store is read. Own load is exact. The other workers' load was published some
hundred milliseconds ago and is advanced: their pending decode tokens have fallen at the rate that they
published. (The term is from navigation, and from distributed simulations, IEEE 1278, that advance the last
known state of remote objects between updates.)

While the store is down, a worker that last saw k peers counts its own load k + 1 times: traffic is spread
evenly over workers, so its own share is the best estimate of theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rb_litellm.core.types import FloatArray, InstanceState, IntArray, Seen
from rb_litellm.state.exchange.peers import Peers
from rb_litellm.state.index import DeploymentIndex
from rb_litellm.state.ledger import Ledger
from rb_litellm.state.servers.external_load import ExternalLoad


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
        return 1 + self._peers.count

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
        peers = self._peers.count
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

    def since_chunk_s(self, rows: IntArray, now: float) -> FloatArray | None:
        """(N,) s since the latest chunk that this worker has seen from the servers of these rows (N,); inf
        for none, and None where no stream is open."""
        latest_s = self._ledger.latest_chunk_s(self._index.servers(rows))
        return None if latest_s is None else now - latest_s

    def failing_elsewhere(self) -> Mapping[str, Sequence[Seen]]:
        """What other workers have seen of deployments that fail, by name on the wire; the same until news."""
        return self._peers.failing()

    def open_here(self) -> FloatArray:
        """Attempts of this worker alone, per row of the index."""
        return self._ledger.counts()

    @property
    def open_in_all(self) -> int:
        """Attempts of this worker alone, on all deployments."""
        return len(self._ledger)

    @property
    def has_peers(self) -> bool:
        """Whether there are other workers."""
        return self._peers.count > 0

    def used(self, own: FloatArray, now: float) -> FloatArray:
        """(2, N) requests and tokens of a minute of all workers, where this one sent `own` (2, N)."""
        peers = self._peers.count
        if not peers:
            return own
        if self._peers.alone(now):
            return own * (peers + 1.0)
        others = self._peers.used(own.shape[1])
        return own if others is None else own + others

    def cap_decode_rate(self, deployment: str, tpot_s: float) -> None:
        """Let open attempts on the deployment decode no faster than one token every `tpot_s`."""
        self._ledger.cap_decode_rate(deployment, tpot_s)

    def slowdown(self, now: float) -> FloatArray | None:
        """How many times slower than predicted each deployment is, by its open attempts; at least 1.

        None where none is late, which is usual.
        """
        return self._ledger.overdue(now) if self._ledger.any_late(now) else None
