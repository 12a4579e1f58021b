"""A measured server as hardware: a lone request and a batch take what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from rb_litellm.calibration.document import Document, Growth, Ttft
from rb_litellm.core.latency.forecast import effective_tokens
from rb_litellm.sim.servers.calibrated import calibrated
from rb_litellm.sim.servers.cluster_file import load_cluster
from rb_litellm.sim.servers.instance import Hardware, Instance, Job

MEASURED = Document.model_validate(
    {
        "url": "http://gpu-3:8000/v1",
        "model": "m",
        "ttft_ms": {"base": 50.0, "per_1k_prompt_tokens": 400.0},
        "tpot_ms": {1: 20.0, 2: 21.0, 4: 24.0},
        "tpot_form_ms": {"alone": 20.0, "per_running": 1.3},
        "ttft_measured_ms": {32: 62.8, 512: 254.8, 1024: 459.6},
        "slots": 4,
        "most_asked": 8,
        "context_window": 8192,
        "kv_tokens": 40_000,
        "prefix_cache": True,
        "fit_error": {"ttft": 0.0, "tpot": 0.02},
    }
)
CLUSTER = """
name: mine
tiers:
  - name: t
    model: m
    instances: 2
    hardware: gpu-3.yaml
    input_usd_per_million: 1
    output_usd_per_million: 2
"""


def written(folder: Path, **changed: object) -> Path:
    file = folder / "gpu-3.yaml"
    file.write_text(MEASURED.model_copy(update=changed).as_yaml())
    return file


def first_token_s(hardware: Hardware, *prompts: int) -> float:
    """Until all of these prompts, sent at once, have brought their first token."""
    instance, now, begun = Instance(hardware), 0.0, 0
    for tokens in prompts:
        instance.add(Job(tokens, 1))
    while begun < len(prompts):
        now += instance.begin() or 0.0
        begun += len(instance.finish())
    return now


@pytest.mark.parametrize(("tokens", "ms"), [(512, 254.8), (1024, 459.6), (2048, 50.0 + 0.4 * 2048)])
def test_a_lone_prompt_takes_what_was_measured(tmp_path: Path, tokens: int, ms: float) -> None:
    found = calibrated(written(tmp_path))
    assert (first_token_s(found.hardware, tokens) + 2 * found.network_s) * 1000.0 == pytest.approx(
        ms, rel=0.01
    )


@pytest.mark.parametrize(("batch", "ms"), [(1, 20.0), (2, 21.0), (3, 22.5), (4, 24.0)])
def test_a_batch_decodes_in_the_time_that_was_measured(tmp_path: Path, batch: int, ms: float) -> None:
    assert calibrated(written(tmp_path)).hardware.iteration_s(batch) * 1000.0 == pytest.approx(ms)


def test_slots_cache_and_prefixes_are_those_that_were_measured(tmp_path: Path) -> None:
    hardware = calibrated(written(tmp_path)).hardware
    assert (hardware.max_num_seqs, hardware.kv_tokens, hardware.prefix_cache) == (4, 40_000, True)


def test_without_a_prefix_cache_the_same_prompt_is_computed_again(tmp_path: Path) -> None:
    instance = Instance(calibrated(written(tmp_path, prefix_cache=False)).hardware)
    took = []
    for _ in range(2):
        instance.add(Job(1024, 1, prefix=tuple(range(16))))
        took.append(instance.begin())
        instance.finish()
    assert took[0] == took[1]


def test_slots_that_were_not_found_are_no_fewer_than_were_tried(tmp_path: Path) -> None:
    assert calibrated(written(tmp_path, slots=None, most_asked=512)).hardware.max_num_seqs == 512


def test_a_growth_that_was_not_measured_is_assumed_as_of_any_server(tmp_path: Path) -> None:
    one = written(
        tmp_path,
        ttft_ms=Ttft(base=600.0, per_1k_prompt_tokens=0.0),
        ttft_measured_ms={32: 600.0},
        tpot_ms={1: 20.0},
        tpot_form_ms=Growth(alone=20.0, per_running=0.0),
        slots=4,
    )
    prior = calibrated(one).prior
    assert (prior.ttft_s, prior.tpot_s, prior.slots) == (0.6, 0.02, 4.0)
    assert prior.prefill_s_per_token > 0.0
    assert prior.tpot_s_per_running > 0.0


def test_prompts_longer_than_the_only_length_measured_take_what_routing_assumes(tmp_path: Path) -> None:
    found = calibrated(
        written(
            tmp_path,
            ttft_ms=Ttft(base=600.0, per_1k_prompt_tokens=0.0),
            ttft_measured_ms={32: 600.0},
        )
    )
    lone_s = first_token_s(found.hardware, 2048) + 2 * found.network_s
    effective = [effective_tokens(tokens, found.prior.ridge_tokens) for tokens in (32, 2048)]
    assert lone_s == pytest.approx(0.6 + (effective[1] - effective[0]) * found.prior.prefill_s_per_token)
    assert lone_s > 0.7


def test_a_tier_names_the_file_beside_its_own(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    (tier,) = load_cluster(str(tmp_path / "cluster.yaml")).tiers
    assert tier.tpot_s == pytest.approx(0.020)
    assert tier.network_s == pytest.approx(0.015)
    assert len(tier.deployments()) == 2


def test_a_measured_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    with pytest.raises(ValueError, match=r"calibration .*gpu-3\.yaml cannot be read"):
        load_cluster(str(tmp_path / "cluster.yaml"))
