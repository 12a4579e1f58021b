"""Mistakes in our settings are found in the configuration file, before any worker starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rb_litellm.litellm_adapter.proxy.starting import shapes
from rb_litellm.litellm_adapter.proxy.starting.preflight import look_over
from rb_litellm.litellm_adapter.register import register

MODELS = [{"model_name": "small", "litellm_params": {"model": "openai/small"}}]


def found(tmp_path: Path, **config: Any) -> list[str]:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"model_list": MODELS, **config}))
    return look_over(file).mistakes


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
        (
            {"redis": {"url": "http://here"}},
            ["routing_strategy_args.redis.url", "'http://here'", "rediss://"],
        ),
        ({"redis": {"url": "redis://here:many"}}, ["redis.url", "'redis://here:many'", "%2F"]),
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


@pytest.mark.parametrize("text", ["", "model_list:\nrouter_settings: no\n"])
def test_a_file_that_holds_nothing_of_ours_is_left_to_litellm(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    assert look_over(file).mistakes == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("router_settings:\n  routing_groups: [\n", "config.yaml: line 3, column 1"),
        ("a: b: c\n", "config.yaml: line 1, column 5"),
        ("- 1\n- 2\n", "holds a list; a configuration is a mapping"),
        ("include: more.yaml\n", "allowed is a list of file names"),
        ("include: [none.yaml]\n", "none.yaml: No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_line_and_cause(
    tmp_path: Path, text: str, part: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    (message,) = look_over(file).mistakes
    assert part in message
    assert "\n" not in message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert look_over(tmp_path / "none.yaml").mistakes == [
        f"{tmp_path / 'none.yaml'}: No such file or directory"
    ]


def test_a_section_of_an_included_file_replaces_the_first_ones(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(router(weights="fast")))
    (message,) = found(tmp_path, include=["more.yaml"], **router(weights="cost"))
    assert "'fast'" in message


GROUP = {"group_name": "g", "models": ["small"], "routing_strategy": "routebalance"}


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"routing_strategy": "routebalnce"}, ["'routebalnce'", "did you mean routebalance?", "least-busy"]),
        (
            {"routing_groups": [{**GROUP, "routing_strategy": "leastbusy"}]},
            ["(g)", "did you mean least-busy?"],
        ),
        ({"routing_groups": [{k: v for k, v in GROUP.items() if k != "models"}]}, ["(g).models: is missing"]),
        ({"routing_groups": [{**GROUP, "models": []}]}, ["(g).models: holds []", "allowed is a list"]),
        ({"routing_groups": [{**GROUP, "models": "small"}]}, ["(g).models: holds 'small'"]),
        ({"routing_groups": [GROUP, {**GROUP, "group_name": "h"}]}, ["small is in the groups g and h"]),
        ({"routing_groups": [{**GROUP, "group_name": "default"}]}, ["LiteLLM keeps for itself"]),
        ({"routing_groups": [{**GROUP, "group_name": ""}]}, ["allowed is the name that clients ask for"]),
        ({"routing_groups": [{**GROUP, "models": ["smal"]}]}, ["did you mean small?"]),
        ({"routing_groups": {"g": GROUP}}, ["allowed is a list of groups"]),
        (
            {"routing_groups": [{**GROUP, "models": ["small", "paint", "say"]}]},
            ["mixes chat (small) and image (paint) and speech (say)", "models of one kind"],
        ),
    ],
)
def test_what_litellm_would_refuse_is_told_before_any_worker_starts(
    tmp_path: Path, settings: dict[str, Any], parts: list[str]
) -> None:
    register()
    entries = [
        ("small", "openai/gpt-4o-mini"),
        ("paint", "openai/gpt-image-1"),
        ("say", "openai/tts-1"),
    ]
    models = [{"model_name": name, "litellm_params": {"model": model}} for name, model in entries]
    (message,) = found(tmp_path, model_list=models, router_settings=settings)
    for part in parts:
        assert part in message


def test_two_groups_of_one_name_are_told(tmp_path: Path) -> None:
    groups = [GROUP, {**GROUP, "models": ["other"]}]
    models = [*MODELS, {"model_name": "other", "litellm_params": {"model": "openai/other"}}]
    (message,) = found(tmp_path, model_list=models, router_settings={"routing_groups": groups})
    assert "two groups have the name 'g'" in message


def test_a_priority_group_may_share_its_models(tmp_path: Path) -> None:
    register()
    first = {
        "group_name": "p",
        "models": ["small"],
        "routing_strategy": "priority",
        "model_priorities": {"small": 1},
    }
    assert found(tmp_path, router_settings={"routing_groups": [GROUP, first]}) == []


@pytest.mark.parametrize(
    ("args", "setting"),
    [
        ({"cascade": {"judge": {"model": "smal"}}}, "cascade.judge.model"),
        ({"baseline": "smal"}, "baseline"),
        (
            {"mode": "shadow", "shadow_evaluation": {"judge": "smal", "path": "v.jsonl", "usd_per_day": 1.0}},
            "shadow_evaluation.judge",
        ),
    ],
)
def test_a_judge_or_baseline_that_nobody_knows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: dict[str, Any], setting: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (message,) = found(tmp_path, **router(**args))
    assert f"{setting}: unknown model (value 'smal'); did you mean small?" in message
    assert found(tmp_path, general_settings={"store_model_in_db": True}, **router(**args)) == []


def test_a_variable_that_names_redis_may_be_set_later(tmp_path: Path) -> None:
    # By `environment_variables` of the file, or from a secret manager.
    assert found(tmp_path, **router(redis={"url": "os.environ/NOT_SET_YET"})) == []


ENTRY = {"model_name": "small", "litellm_params": {"model": "openai/small"}}


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"model_list": [ENTRY, {"model_name": "b"}]}, "model_list.1.litellm_params: missing, and needed"),
        ({"model_list": [{**ENTRY, "litellm_params": None}]}, "model_list.0.litellm_params: is empty"),
        ({"model_list": [{**ENTRY, "litellm_params": ["x"]}]}, "model_list.0.litellm_params: holds ['x'];"),
        ({"model_list": [{**ENTRY, "litellm_params": {}}]}, "model_list.0.litellm_params.model: missing"),
        (
            {"model_list": [{"litellm_params": {"model": "x"}}]},
            "model_list.0.model_name: missing, and needed",
        ),
        ({"model_list": [ENTRY, None]}, "model_list.1: is empty; allowed is a mapping"),
        ({"model_list": {"small": ENTRY}}, "model_list: holds {'small'"),
        (
            {"general_settings": ["master_key"]},
            "general_settings: holds a value of type list; allowed is a mapping",
        ),
        (
            {"litellm_settings": ["drop_params"]},
            "litellm_settings: holds ['drop_params']; allowed is a mapping",
        ),
        (
            {"environment_variables": ["A=secret"]},
            "environment_variables: holds a value of type list; allowed is a mapping",
        ),
        ({"credential_list": [None]}, "credential_list.0: is empty; allowed is a mapping"),
        (
            {"router_settings": {"fallbacks": ["small"]}},
            "router_settings.fallbacks.0: holds 'small'; allowed is",
        ),
    ],
)
def test_what_litellm_would_end_on_without_a_place_is_named_before_any_worker_starts(
    tmp_path: Path, config: dict[str, Any], told: str
) -> None:
    (message,) = found(tmp_path, **config)
    assert message.startswith(told)
    assert "secret" not in message


@pytest.mark.parametrize("info", [None, [], ["mode"]])
def test_model_info_without_fields_is_named_where_litellm_ends_on_it(
    tmp_path: Path, info: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where every line below `model_info:` is commented out; 1.110 takes it."""
    for before, said in ((True, 1), (False, 0)):
        monkeypatch.setattr(shapes, "_before_rust", lambda before=before: before)
        told = found(tmp_path, model_list=[{**ENTRY, "model_info": info}])
        assert [one.startswith("model_list.0.model_info: ") for one in told] == [True] * said


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"router_settings": [{"routing_strategy": "routebalance"}]}, "router_settings: holds [{'routing_st"),
        (
            {"model_list": [{**ENTRY, "litellm_params": {"model": "openai/a", "api_key": 1234}}]},
            "model_list.0.litellm_params.api_key: holds a value of type int; LiteLLM leaves the entry out (",
        ),
        (
            {"model_list": [{**ENTRY, "litellm_params": {"model": "openai/a", "tags": "fast"}}]},
            "model_list.0.litellm_params.tags: holds 'fast'; LiteLLM leaves the entry out (",
        ),
        (
            {"model_list": [{**ENTRY, "model_info": {"base_model": 4}}]},
            "model_list.0.model_info.base_model: holds 4; LiteLLM leaves the entry out (",
        ),
    ],
)
def test_what_litellm_starts_without_is_told_and_stops_nothing(
    tmp_path: Path, config: dict[str, Any], told: str
) -> None:
    assert found(tmp_path, **config) == []
    (message,) = look_over(tmp_path / "config.yaml").passed_over
    assert message.startswith(told)
    assert "1234" not in message


def test_variables_that_are_set_later_are_no_wrong_values(tmp_path: Path) -> None:
    params = {"model": "openai/a", "rpm": "os.environ/RPM_THAT_NOBODY_SET"}
    assert found(tmp_path, model_list=[{**ENTRY, "litellm_params": params}]) == []
    assert look_over(tmp_path / "config.yaml").passed_over == []
