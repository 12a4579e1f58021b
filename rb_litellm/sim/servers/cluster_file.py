"""Clusters described in a YAML or JSON file, for `routebalance simulate --cluster FILE`.

name: mine
tiers:
  - name: small                       # one model on one hardware
    model: qwen2.5-7b
    instances: 4
    input_usd_per_million: 0.07
    output_usd_per_million: 0.07
    quality: 0.6                      # means, for where no predictor speaks and no data say better
    output_tokens: 180
    hardware:
      curve_ms: [[1, 24], [64, 30], [256, 45], [2048, 260]]    # a forward pass by tokens of the batch
      tpot_ms: 20.6                   # optional: the curve is scaled so that a lone request decodes so
      kv_tokens: 85000
      attention_us_per_1k_tokens: 100 # time to read 1,000 cached tokens in one iteration
      max_num_seqs: 256
      max_batched_tokens: 2048

`hardware: FILE` takes a server that `routebalance calibrate --out FILE` has measured; the file is looked for
beside this one.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from rb_litellm import bounded_yaml
from rb_litellm.config.allowed import what_is_allowed
from rb_litellm.sim.servers.calibrated import calibrated
from rb_litellm.sim.servers.cluster import LONE_CONTEXT, PAPER_CLUSTER, Cluster, Tier
from rb_litellm.sim.servers.instance import Hardware


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Hardware(_Strict):
    curve_ms: list[tuple[int, float]] = Field(min_length=2)
    tpot_ms: float | None = Field(None, gt=0)
    kv_tokens: int = Field(gt=0)
    attention_us_per_1k_tokens: float = Field(0.0, ge=0)
    max_num_seqs: int = Field(256, ge=1)
    max_batched_tokens: int = Field(2048, ge=1)

    @field_validator("curve_ms")
    @classmethod
    def _rises(cls, curve: list[tuple[int, float]]) -> list[tuple[int, float]]:
        if (
            curve[0][0] < 1
            or any(b[0] <= a[0] or b[1] < a[1] for a, b in pairwise(curve))
            or curve[0][1] <= 0
        ):
            raise ValueError("must hold pairs of [tokens, ms] with rising tokens from 1 and no falling ms")
        return curve

    def build(self) -> Hardware:
        attention_s = self.attention_us_per_1k_tokens / 1e9
        scale = 1.0
        if self.tpot_ms is not None:
            lone_ms = self.tpot_ms - attention_s * LONE_CONTEXT * 1000.0
            scale = max(lone_ms, 0.01 * self.tpot_ms) / self.curve_ms[0][1]
        curve = tuple((tokens, ms * scale / 1000.0) for tokens, ms in self.curve_ms)
        return Hardware(curve, attention_s, self.kv_tokens, self.max_num_seqs, self.max_batched_tokens)


class _Tier(_Strict):
    name: str = Field(min_length=1)
    model: str = Field(min_length=1)
    instances: int = Field(ge=1, le=10_000)
    input_usd_per_million: float = Field(ge=0)
    output_usd_per_million: float = Field(ge=0)
    quality: float = Field(0.5, ge=0, le=1)
    output_tokens: float = Field(160.0, ge=1)
    hardware: _Hardware | str

    def build(self, folder: Path) -> Tier:
        if isinstance(self.hardware, str):
            measured = calibrated(folder / self.hardware)
            hardware, network_s = measured.hardware, measured.network_s
        else:
            hardware, network_s = self.hardware.build(), Tier.network_s
        return Tier(
            self.name,
            self.model,
            self.instances,
            hardware,
            self.input_usd_per_million,
            self.output_usd_per_million,
            self.quality,
            self.output_tokens,
            network_s,
        )


class _Cluster(_Strict):
    name: str = Field(min_length=1)
    tiers: list[_Tier] = Field(min_length=1)


def load_cluster(name: str) -> Cluster:
    """The cluster `paper`, or the one that the file describes.

    Raises:
        ValueError: no such file, or it does not describe a cluster, or a measured server is not in its file;
            names each wrong setting.
    """
    if name == "paper":
        return PAPER_CLUSTER
    try:
        told = _Cluster.model_validate(bounded_yaml.load(Path(name).read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(
            f"cluster is {name!r}; allowed is paper or a file ({error.strerror or error})"
        ) from None
    except yaml.YAMLError as error:
        raise ValueError(f"cluster {name}: is not YAML ({error})") from None
    except (bounded_yaml.BeyondBounds, UnicodeDecodeError) as error:
        raise ValueError(f"cluster {name}: {error}") from None
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'} is {e['input']!r:.60}: {what_is_allowed(e)}"
            for e in error.errors()
        )
        raise ValueError(f"cluster {name}: {wrong}") from None
    names = [tier.name for tier in told.tiers]
    if len(set(names)) < len(names) or len({tier.model for tier in told.tiers}) < len(names):
        raise ValueError(
            f"cluster {name}: tiers need different names and models, there are {', '.join(names)}"
        )
    return Cluster(told.name, tuple(tier.build(Path(name).parent) for tier in told.tiers))


def of_size(cluster: Cluster, deployments: int) -> Cluster:
    """The cluster in the same proportions with `deployments` servers in all, at least one of each tier.

    Raises:
        ValueError: fewer deployments than tiers.
    """
    if deployments < len(cluster.tiers):
        raise ValueError(f"{deployments} deployments cannot serve {len(cluster.tiers)} tiers")
    before = sum(tier.instances for tier in cluster.tiers)
    exact = [tier.instances * deployments / before for tier in cluster.tiers]
    counts = [max(int(share), 1) for share in exact]
    # Largest remainders first, until the sum is right.
    by_remainder = sorted(range(len(counts)), key=lambda n: counts[n] - exact[n])
    for n in range(deployments - sum(counts)):
        counts[by_remainder[n % len(counts)]] += 1
    tiers = tuple(replace(t, instances=n) for t, n in zip(cluster.tiers, counts, strict=True))
    return Cluster(f"{cluster.name}-{sum(counts)}", tiers)


def of_slots(cluster: Cluster, slots: int) -> Cluster:
    """The cluster with servers that run `slots` requests at once."""
    tiers = tuple(replace(t, hardware=replace(t.hardware, max_num_seqs=slots)) for t in cluster.tiers)
    return Cluster(f"{cluster.name}-slots-{slots}", tiers)
