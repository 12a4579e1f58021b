"""Every name by which a log knows a model names it, in each option; what may be several is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rb_litellm.logs.spend_logs import read_spend_logs
from rb_litellm.replay.whatif import Change, Replay
from tests.logs.lifelike import plain
from tests.replay.test_lifelike_logs import written

NAMES = ("qwen-7b", "hosted_vllm/qwen-7b", "small-1")
"""Group and provider's name, LiteLLM's name, deployment."""


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return read_spend_logs(written(tmp_path_factory.mktemp("names"), plain(120))).calls


@pytest.mark.parametrize("name", NAMES)
def test_each_name_names_the_model(calls: list[Any], name: str) -> None:
    replay = Replay(calls, {name: 0.625})
    assert replay.quality["hosted_vllm/qwen-7b"] == 0.625
    (run,) = replay.run(["jsq"], Change(without=[name]))
    assert run.tiers == ("large-1",)
    (run,) = replay.run(["jsq"], Change(add=[f"{name}=2"]))
    assert run.tiers == (
        "large-1",
        "small-1",
        "hosted_vllm/qwen-7b (added 1)",
        "hosted_vllm/qwen-7b (added 2)",
    )
    (run,) = replay.run(["jsq"], Change(without=["large-1"], prices={name: (0.0, 0.0)}))
    assert not run.cost_usd.any()


def test_a_name_of_several_models_is_refused_and_they_are_listed(calls: list[Any], tmp_path: Path) -> None:
    rows = [{**row, "model_group": "auto"} for row in plain(60)]
    mixed = read_spend_logs(written(tmp_path, rows)).calls
    with pytest.raises(ValueError, match="'auto' may be any of hosted_vllm/llama-70b, hosted_vllm/qwen-7b"):
        Replay(mixed, {"auto": 0.5})
    with pytest.raises(ValueError, match="--without 'auto' may be any of"):
        Replay(mixed).run(["jsq"], Change(without=["auto"]))


def test_one_server_of_several_can_be_left_out(tmp_path: Path) -> None:
    rows = [{**row, "model_id": f"{row['model_id']}-{n % 4 // 2}"} for n, row in enumerate(plain(160))]
    replay = Replay(read_spend_logs(written(tmp_path, rows)).calls)
    (run,) = replay.run(["jsq"], Change(without=["llama-70b=1"]))
    assert run.tiers == ("large-1-0", "small-1-0", "small-1-1")
    with pytest.raises(ValueError, match="the log has 2 of these: large-1-0, large-1-1"):
        replay.run(["jsq"], Change(without=["llama-70b=3"]))


def test_a_further_server_takes_load_off_the_others(calls: list[Any]) -> None:
    replay = Replay(calls)
    (few,) = replay.run(["jsq"], Change(without=["large-1"], load=30.0))
    (more,) = replay.run(["jsq"], Change(without=["large-1"], add=["qwen-7b"], load=30.0))
    assert more.e2e_s.mean() < few.e2e_s.mean() + 1e-9
    assert set(more.deployment.tolist()) == {0, 1}
