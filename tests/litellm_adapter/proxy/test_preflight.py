"""Mistakes in our settings are found in the configuration file, before any worker starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rb_litellm.litellm_adapter.proxy.preflight import mistakes

MODELS = [{"model_name": "small", "litellm_params": {"model": "openai/small"}}]


def found(tmp_path: Path, **config: Any) -> list[str]:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"model_list": MODELS, **config}))
    return mistakes(file)


def router(**args: Any) -> dict[str, Any]:
    return {"router_settings": {"routing_strategy": "routebalance", "routing_strategy_args": args}}


def group(**fields: Any) -> dict[str, Any]:
    return {
        "router_settings": {
            "routing_groups": [
                {"group_name": "auto", "models": ["small"], "routing_strategy": "routebalance", **fields}
            ]
        }
    }


def test_a_good_file_has_none(tmp_path: Path) -> None:
    assert found(tmp_path, **router(weights="quality")) == []
    assert found(tmp_path, **group()) == []


def test_a_file_without_our_strategy_is_not_ours_to_judge(tmp_path: Path) -> None:
    settings = {"routing_strategy": "least-busy", "routing_strategy_args": {"weights": "nonsense"}}
    assert found(tmp_path, router_settings=settings) == []


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (
            {"weights": "fast"},
            ["args.weights", "'fast'", "balanced, quality, latency, cost"],
        ),
        ({"wieghts": "cost"}, ["routing_strategy_args.wieghts", "unknown setting", "weights"]),
        ({"weights": {"quality": 1, "latency": 1, "cost": 0}}, ["weights", "sum to 2", "must sum to 1"]),
        ({"predictor": {"path": "/nowhere/at/all"}}, ["predictor.path", "/nowhere/at/all"]),
    ],
)
def test_a_mistake_names_setting_value_and_what_is_allowed(
    tmp_path: Path, args: dict[str, Any], parts: list[str]
) -> None:
    (message,) = found(tmp_path, **router(**args))
    for part in parts:
        assert part in message


def test_a_mistake_in_a_routing_group_names_the_group(tmp_path: Path) -> None:
    (message,) = found(tmp_path, **group(routing_strategy_args={"weights": "fast"}))
    assert "routing_groups (auto)" in message


def test_an_unknown_member_of_a_routing_group_is_named(tmp_path: Path) -> None:
    (message,) = found(tmp_path, **group(models=["small", "smal"]))
    assert "smal" in message
    assert "allowed are" in message


def test_members_may_come_from_a_database(tmp_path: Path) -> None:
    config = group(models=["small", "kept-in-the-database"])
    assert found(tmp_path, general_settings={"store_model_in_db": True}, **config) == []


def test_a_mistake_in_a_deployment_names_the_deployment(tmp_path: Path) -> None:
    entry = {**MODELS[0], "model_info": {"routebalance": {"quality": 7}}}
    (message,) = found(tmp_path, model_list=[entry])
    assert "model_list.0 (small).model_info.routebalance.quality" in message
    assert "7" in message


def test_settings_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RB_WEIGHTS", "quality")
    assert found(tmp_path, **router(weights="os.environ/RB_WEIGHTS")) == []


@pytest.mark.parametrize("text", ["", "a: [", "- 1\n- 2\n", "model_list: 3\nrouter_settings: no\n"])
def test_a_file_that_is_no_configuration_is_left_to_litellm(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert mistakes(file) == []
