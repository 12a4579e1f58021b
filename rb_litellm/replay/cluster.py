"""A cluster to simulate out of fitted deployments, each a tier of one server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from rb_litellm.core.fleet import Deployment
from rb_litellm.core.latency.forecast import LatencyPrior
from rb_litellm.fitting.fit import FittedServer
from rb_litellm.sim.servers.calibrated import Calibrated
from rb_litellm.sim.servers.cluster import Cluster, Tier
from rb_litellm.sim.servers.instance import Hardware

_DECODE_BATCH = 256
"""Batch up to which further tokens cost what further sequences do; beyond it they are prefill."""
_TOKENS_PER_ITERATION = 2048
_NO_LIMIT = 1_000_000_000
"""A log does not tell how much a server's cache holds: what it does show of queueing is in the fit."""


@dataclass(frozen=True)
class LoggedTier(Tier):
    """One deployment of a log. `name` is its id."""

    learned: LatencyPrior | None = None

    def prior(self) -> LatencyPrior:
        """What a proxy that has served this log has learned."""
        assert self.learned is not None
        return self.learned

    def deployments(self) -> list[Deployment]:
        """The one deployment, under its own id; those of one model learn from each other."""
        (only,) = super().deployments()
        return [replace(only, id=self.name, model=self.model, tier=self.model)]


def logged_cluster(
    servers: Sequence[FittedServer],
    quality: Mapping[str, float],
    without: Collection[str] = (),
    prices: Mapping[str, tuple[float, float]] = {},
    added: Sequence[FittedServer] = (),
    name: str = "logged",
    measured: Mapping[str, Calibrated] = {},
) -> Cluster:
    """The cluster of a log, perhaps changed.

    `quality` is the mean by model; `without` leaves servers out; `prices` replaces USD per million
    input and output tokens, by model or server; `added` are further servers; those of `measured`, by
    model or server, run on hardware that was measured and not on what the log shows.

    Raises:
        ValueError: no server is left.
    """
    left = [server for server in servers if server.deployment not in without]
    tiers = [_tier(server, quality, prices) for server in [*left, *added]]
    tiers = [_on(tier, measured.get(tier.name) or measured.get(tier.model)) for tier in tiers]
    if not tiers:
        raise ValueError("no deployment is left to replay on")
    return Cluster(name, tuple(tiers))


def one_more(servers: Sequence[FittedServer], model: str, number: int) -> FittedServer:
    """A further server of a model: as fast as the median of those that the log has."""
    own = sorted(
        (s for s in servers if s.model == model), key=lambda server: (server.tpot_s, server.deployment)
    )
    return replace(own[(len(own) - 1) // 2], deployment=f"{model} (added {number})", calls=0)


def _tier(
    server: FittedServer, quality: Mapping[str, float], prices: Mapping[str, tuple[float, float]]
) -> LoggedTier:
    own = (server.input_usd_per_token * 1e6, server.output_usd_per_token * 1e6)
    input_usd, output_usd = prices.get(server.deployment) or prices.get(server.model) or own
    # What the first token takes beyond the iterations that bring it is spent on the way, half of it each way.
    way_s = max(server.ttft_s - 1.5 * server.tpot_s, 0.0) / 2.0
    return LoggedTier(
        name=server.deployment,
        model=server.model,
        instances=1,
        hardware=_hardware(server),
        input_usd_per_million=input_usd,
        output_usd_per_million=output_usd,
        quality=quality[server.model],
        output_tokens=server.mean_output_tokens,
        network_s=way_s,
        learned=LatencyPrior(
            tpot_s=server.tpot_s,
            ttft_s=server.ttft_s,
            prefill_s_per_token=server.prefill_s_per_token,
            tpot_s_per_running=server.tpot_s_per_running,
            slots=float(_DECODE_BATCH),
        ),
    )


def _on(tier: LoggedTier, measured: Calibrated | None) -> LoggedTier:
    if measured is None:
        return tier
    return replace(tier, hardware=measured.hardware, network_s=measured.network_s, learned=measured.prior)


def _hardware(server: FittedServer) -> Hardware:
    # A further sequence costs its token and the reading of its context; a prompt's token costs the like
    # without the reading, and less while few make up the batch.
    token_s = min(server.prefill_s_per_token, server.tpot_s_per_running)
    reading_s = (server.tpot_s_per_running - token_s) / max(server.mean_context_tokens, 1.0)
    decode_s = server.tpot_s + token_s * (_DECODE_BATCH - 1)
    full_s = decode_s + server.prefill_s_per_token * (_TOKENS_PER_ITERATION - _DECODE_BATCH)
    return Hardware(
        curve=((1, server.tpot_s), (_DECODE_BATCH, decode_s), (_TOKENS_PER_ITERATION, full_s)),
        attention_s_per_context_token=reading_s,
        kv_tokens=_NO_LIMIT,
        max_num_seqs=_DECODE_BATCH,
        max_batched_tokens=_TOKENS_PER_ITERATION,
    )
