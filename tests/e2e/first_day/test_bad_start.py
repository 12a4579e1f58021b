"""What a wrong configuration does to the start of a proxy, and what does not stop it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from rb_litellm.bench.real.testbed import running_proxy
from rb_litellm.demo.processes import Child, free_port
from rb_litellm.demo.stage import clean_environment
from tests.e2e.proxy import LITELLM, RB_LITELLM, START_S, chat, routed
from tests.litellm_contract.routers import deployment

pytestmark = pytest.mark.slow


def config_of(args: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "model_list": [deployment("a"), deployment("b")],
        "router_settings": {"routing_strategy": "routebalance", "routing_strategy_args": args},
        **more,
    }


def refusal(folder: Path, config: dict[str, Any], command: Sequence[str], *arguments: str) -> tuple[int, str]:
    """Exit code and output of a proxy that does not start."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    asked = [*command, "--config", str(file), "--port", str(free_port()), *arguments]
    with Child("proxy", asked, folder / "proxy.log", clean_environment()) as child:
        return child.wait(START_S), child.output()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_launcher_names_every_mistake_and_starts_no_worker(tmp_path: Path, workers: int) -> None:
    config = config_of(
        {"weights": "fastest", "wieghts": "cost", "predictor": {"path": str(tmp_path / "none")}}
    )
    config["router_settings"]["routing_groups"] = [
        {"group_name": "g", "models": ["auto", "nobody"], "routing_strategy": "routebalance"},
        {
            "group_name": "h",
            "models": ["auto"],
            "routing_strategy": "routebalance",
            "routing_strategy_args": {"weights": {"quality": 1, "latency": 1, "cost": 1}},
        },
    ]
    code, said = refusal(tmp_path, config, RB_LITELLM, "--num_workers", str(workers))
    assert code == 1
    for words in (
        "routing_strategy_args.weights: unknown preset 'fastest'; allowed are balanced, quality, latency,",
        "routing_strategy_args.wieghts: unknown setting (value 'cost'); did you mean weights? allowed are",
        "routing_groups (g).models: unknown model group (value ['nobody']); allowed are",
        "weights sum to 3",
    ):
        assert words in said
    assert "Traceback" not in said
    assert "Started server process" not in said


def test_the_stock_command_ends_with_the_same_words(tmp_path: Path) -> None:
    config = config_of({"weights": "fastest"}, litellm_settings={"callbacks": ["rb_litellm.proxy"]})
    code, said = refusal(tmp_path, config, LITELLM)
    assert code != 0
    assert "unknown preset 'fastest'; allowed are balanced, quality, latency, cost" in said


def test_a_file_that_is_missing_or_broken_is_told_without_a_traceback(tmp_path: Path) -> None:
    broken, lacking = tmp_path / "broken.yaml", tmp_path / "lacking.yaml"
    broken.write_text("model_list:\n  - model_name: [\n")
    lacking.write_text("model_list:\n  - model_name: small\n")
    for file, words in (
        (tmp_path / "none.yaml", "No such file"),
        (broken, "broken.yaml: line 3, column 1"),
        (lacking, "model_list.0.litellm_params: missing, and needed"),
    ):
        asked = [*RB_LITELLM, "--config", str(file), "--num_workers", "2"]
        with Child("proxy", asked, tmp_path / "proxy.log", clean_environment()) as child:
            assert child.wait(START_S) == 1
            said = child.output()
        assert words in said
        assert "Traceback" not in said


def test_every_worker_says_at_start_for_what_it_is_on_and_that_it_is_alone(tmp_path: Path) -> None:
    with running_proxy(tmp_path, config_of({"weights": "cost"}), workers=2) as proxy:
        proxy.child.wait_until(lambda: proxy.child.output().count("is on in worker") >= 2, 60.0)
        said = proxy.child.output()
    lines = [line for line in said.splitlines() if "is on in worker" in line]
    assert len(lines) == 2
    for words in ("all other models with weights cost (", "Predictor: ", "this worker alone", "litellm 1."):
        assert all(words in line for line in lines)
    assert said.count("2 workers run without Redis") == 2


def test_workers_that_cannot_start_end_their_supervisor(tmp_path: Path) -> None:
    # LiteLLM refuses to start without a master key: nothing that could be seen in the file.
    _, said = refusal(tmp_path, config_of({}), RB_LITELLM, "--num_workers", "2")
    assert "no master key is set" in said
    assert "failed to start, stopping the parent process" in said


def test_a_redis_that_does_not_answer_is_warned_of_and_stops_nothing(tmp_path: Path) -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    with running_proxy(tmp_path, config_of({"redis": {"url": url}})) as proxy:
        with proxy.client() as client:
            response: httpx.Response = client.post("/v1/chat/completions", json=chat("auto"))
        assert routed(response)["reason"] == "joint"
        proxy.child.wait_until(lambda: "this worker uses its own load alone" in proxy.child.output(), 30.0)
        assert "secret" not in proxy.child.output()
