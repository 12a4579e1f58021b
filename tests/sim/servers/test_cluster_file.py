"""Clusters from files: what is accepted, what is refused by name, and other sizes of a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.servers.cluster_file import load_cluster, of_size

FILE = """
name: mine
tiers:
  - name: small
    model: some-7b
    instances: 4
    input_usd_per_million: 0.07
    output_usd_per_million: 0.08
    hardware:
      curve_ms: [[1, 24], [64, 30], [2048, 260]]
      tpot_ms: 20.6
      kv_tokens: 85000
      attention_us_per_1k_tokens: 100
      max_num_seqs: 32
"""


def test_tier_decodes_at_the_time_that_is_written_down(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(FILE)
    (tier,) = load_cluster(str(file)).tiers
    assert tier.tpot_s == pytest.approx(0.0206)
    assert tier.hardware.max_num_seqs == 32
    assert len(tier.deployments()) == 4


def test_paper_is_the_papers_cluster() -> None:
    assert load_cluster("paper") is PAPER_CLUSTER


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("instances: 4", "instances: 0", "tiers.0.instances is 0"),
        ("model: some-7b", "modell: some-7b", "tiers.0.modell"),
        ("[64, 30]", "[64, 20]", "no falling ms"),
        ("name: mine", "name: [", "is not YAML"),
        ("name: mine", "name: &a [*a]", "line 2: an alias"),
        ("name: mine", f"name: {'[' * 2000}", "more than 100 levels"),
    ],
)
def test_wrong_setting_is_named(tmp_path: Path, old: str, new: str, named: str) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(FILE.replace(old, new))
    with pytest.raises(ValueError, match=named):
        load_cluster(str(file))


def test_missing_file_is_named() -> None:
    with pytest.raises(ValueError, match="allowed is paper or a file"):
        load_cluster("nowhere.yaml")


@pytest.mark.parametrize("deployments", [4, 5, 13, 128, 1000])
def test_other_sizes_keep_the_proportions(deployments: int) -> None:
    cluster = of_size(PAPER_CLUSTER, deployments)
    assert sum(t.instances for t in cluster.tiers) == deployments
    for before, after in zip(PAPER_CLUSTER.tiers, cluster.tiers, strict=True):
        assert after.instances == pytest.approx(before.instances * deployments / 13, abs=1.0)


def test_fewer_servers_than_tiers_are_refused() -> None:
    with pytest.raises(ValueError, match="3 deployments cannot serve 4 tiers"):
        of_size(PAPER_CLUSTER, 3)
