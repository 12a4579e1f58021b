"""`routebalance init` over configurations as people have them: a small diff, comments kept, doctor passed."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from rb_litellm.cli import main

BLOCK = """\
# Production, owned by the platform team.
model_list:
  - model_name: qwen-7b            # two of these
    litellm_params:
      model: hosted_vllm/qwen2.5-7b
      api_base: http://gpu-1:8000/v1   # rack 3
  - model_name: qwen-7b
    litellm_params:
      model: hosted_vllm/qwen2.5-7b
      api_base: http://gpu-2:8000/v1
    model_info:
      id: second  # keep
  # the dear one
  - model_name: gpt-4o-mini
    litellm_params:
      model: gpt-4o-mini
      api_key: os.environ/OPENAI_API_KEY
  - model_name: vectors
    litellm_params: {model: text-embedding-3-small}

litellm_settings:
  drop_params: true   # old clients
  # callbacks: [langfuse]

general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
"""
INDENTLESS = """\
model_list:
- model_name: a
  litellm_params:
    model: ollama/llama3.1:8b
- model_name: b
  litellm_params:
    model: "gpt-4o"
litellm_settings:
  callbacks: prometheus
router_settings:
  routing_strategy: least-busy
  num_retries: 2
"""
FLOW = """\
model_list:
  - {model_name: a, litellm_params: {model: gpt-4o}}
  - {model_name: b, litellm_params: {model: gpt-4o-mini}, model_info: {id: b-1}}
litellm_settings: {callbacks: ["prometheus"], drop_params: true}
router_settings:
"""
JSON = json.dumps(
    {
        "model_list": [
            {"model_name": "a", "litellm_params": {"model": "hosted_vllm/a-7b"}},
            {"model_name": "b", "litellm_params": {"model": "hosted_vllm/b-70b"}},
        ],
        "general_settings": {"master_key": "sk-x"},
    },
    indent=2,
)
GROUPS = """\
model_list:
  - model_name: a
    litellm_params: {model: hosted_vllm/a-7b}
  - model_name: b
    litellm_params: {model: hosted_vllm/b-13b}
  - model_name: c
    litellm_params: {model: hosted_vllm/c-70b}
router_settings:
  routing_groups:
    - group_name: fixed
      models: [a]
      routing_strategy: simple-shuffle
litellm_settings:
  callbacks:
    - langfuse
    - prometheus  # team metrics
"""
ANCHORS = """\
model_list:
  - model_name: a
    litellm_params: {model: hosted_vllm/a-7b, api_base: http://g1/v1}
    model_info: &a
      base_model: a
  - model_name: a
    litellm_params: {model: hosted_vllm/a-7b, api_base: http://g2/v1}
    model_info: *a
  - model_name: b
    litellm_params: {model: hosted_vllm/b-13b, api_base: http://g3/v1}
"""
ONE_MODEL = """\
model_list:
  - model_name: llama
    litellm_params: {model: hosted_vllm/llama-3.1-8b, api_base: http://g1:8000/v1}
  - model_name: llama
    litellm_params: {model: hosted_vllm/llama-3.1-8b, api_base: http://g2:8000/v1}
router_settings:
  routing_strategy: simple-shuffle  # for now
"""
CONFIGS = {
    "block": BLOCK,
    "indentless": INDENTLESS,
    "flow": FLOW,
    "json": JSON,
    "groups": GROUPS,
    "anchors": ANCHORS,
    "one-model": ONE_MODEL,
    "windows": BLOCK.replace("\n", "\r\n"),
    "no-last-newline": BLOCK.rstrip("\n"),
}


def run(command: str, file: Path, *options: str) -> Result:
    return CliRunner().invoke(main, [command, "--config", str(file), *options])


def written(tmp_path: Path, text: str, *options: str) -> dict[str, Any]:
    """The configuration after `init --write`."""
    file = tmp_path / "config.yaml"
    file.write_bytes(text.encode())
    result = run("init", file, "--write", *options)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = yaml.safe_load(file.read_bytes())
    return document


@pytest.mark.parametrize("name", CONFIGS)
def test_the_result_passes_the_doctor(tmp_path: Path, name: str) -> None:
    written(tmp_path, CONFIGS[name])
    result = run("doctor", tmp_path / "config.yaml", "--json")
    errors = [f for f in json.loads(result.stdout)["findings"] if f["level"] == "error"]
    assert errors == []
    assert result.exit_code == 0


@pytest.mark.parametrize("name", CONFIGS)
def test_lines_are_only_added_to_or_completed(tmp_path: Path, name: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(CONFIGS[name].encode())
    before = yaml.safe_load(CONFIGS[name])
    diff = json.loads(run("init", file, "--json").stdout)["diff"]
    assert file.read_bytes() == CONFIGS[name].encode()  # nothing is written without --write
    assert len(diff.splitlines()) < 60
    after = written(tmp_path, CONFIGS[name])
    for section, content in before.items():
        if isinstance(content, dict) and section != "router_settings":
            assert content.items() <= {**after[section], **_callbacks(content)}.items()


def _callbacks(section: dict[str, Any]) -> dict[str, Any]:
    return {"callbacks": section["callbacks"]} if "callbacks" in section else {}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_comment_is_still_there_and_in_order(tmp_path: Path, name: str) -> None:
    comments = [line.partition("#")[2] for line in CONFIGS[name].splitlines() if "#" in line]
    written(tmp_path, CONFIGS[name])
    text = (tmp_path / "config.yaml").read_text()
    kept = [line.partition("#")[2] for line in text.splitlines() if "#" in line]
    assert [comment for comment in kept if "guessed" not in comment] == comments


@pytest.mark.parametrize("name", CONFIGS)
def test_a_second_time_there_is_nothing_to_add(tmp_path: Path, name: str) -> None:
    written(tmp_path, CONFIGS[name])
    told = json.loads(run("init", tmp_path / "config.yaml", "--json").stdout)
    assert told["changed"] is False
    assert told["diff"] == ""


def test_the_group_holds_the_chat_models_and_no_others(tmp_path: Path) -> None:
    (group,) = written(tmp_path, BLOCK)["router_settings"]["routing_groups"]
    assert group == {
        "group_name": "auto",
        "models": ["qwen-7b", "gpt-4o-mini"],
        "routing_strategy": "routebalance",
        "routing_strategy_args": {"weights": "standard"},
    }


def test_models_of_other_groups_are_left_to_them(tmp_path: Path) -> None:
    groups = written(tmp_path, GROUPS)["router_settings"]["routing_groups"]
    assert [group["models"] for group in groups] == [["a"], ["b", "c"]]


def test_other_strategies_go_on_for_other_models(tmp_path: Path) -> None:
    assert written(tmp_path, INDENTLESS)["router_settings"]["routing_strategy"] == "least-busy"


def test_a_single_model_needs_no_group(tmp_path: Path) -> None:
    router = written(tmp_path, ONE_MODEL)["router_settings"]
    assert router["routing_strategy"] == "routebalance"
    assert "routing_groups" not in router


def test_it_says_what_each_model_is_taken_for_and_writes_no_guess(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(ONE_MODEL)
    told = run("init", file)
    assert (
        "is taken for llama-3.1-8b-instruct (certainty 1.00); answers of llama-3.1-8b-instruct to "
        in told.stderr
    )
    assert "quality" not in told.stdout


def test_a_quality_that_stands_there_is_kept(tmp_path: Path) -> None:
    text = ONE_MODEL.replace(
        "http://g1:8000/v1}", "http://g1:8000/v1}\n    model_info: {routebalance: {quality: 0.9}}"
    )
    assert written(tmp_path, text)["model_list"][0]["model_info"]["routebalance"]["quality"] == 0.9


def test_a_model_that_nothing_is_known_of_is_named(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(ONE_MODEL.replace("llama-3.1-8b", "house-model"))
    assert "house-model is not recognised" in run("init", file).stderr


def test_callbacks_that_are_there_stay(tmp_path: Path) -> None:
    assert written(tmp_path, INDENTLESS)["litellm_settings"]["callbacks"] == [
        "prometheus",
        "rb_litellm.proxy",
    ]
    assert written(tmp_path, FLOW)["litellm_settings"]["callbacks"] == ["prometheus", "rb_litellm.proxy"]
    assert written(tmp_path, GROUPS)["litellm_settings"]["callbacks"][-1] == "rb_litellm.proxy"


def test_json_stays_json(tmp_path: Path) -> None:
    written(tmp_path, JSON)
    json.loads((tmp_path / "config.yaml").read_text())


def test_windows_line_ends_stay(tmp_path: Path) -> None:
    written(tmp_path, CONFIGS["windows"])
    content = (tmp_path / "config.yaml").read_bytes()
    assert content.count(b"\n") == content.count(b"\r\n")


def test_a_link_and_the_permissions_stay(tmp_path: Path) -> None:
    target = tmp_path / "real.yaml"
    target.write_text(BLOCK)
    target.chmod(0o640)
    link = tmp_path / "config.yaml"
    link.symlink_to(target)
    assert run("init", link, "--write").exit_code == 0
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert "routebalance" in target.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "real.yaml"]


def test_the_name_of_the_group_avoids_what_is_taken(tmp_path: Path) -> None:
    text = BLOCK.replace("model_name: gpt-4o-mini", "model_name: auto")
    assert written(tmp_path, text)["router_settings"]["routing_groups"][0]["group_name"] == "routebalance"
    file = tmp_path / "config.yaml"
    file.write_text(BLOCK)
    assert "is there already" in run("init", file, "--group", "qwen-7b").stderr


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("model_list: [", "config.yaml"),
        ("model_list: []\n", "no chat model"),
        ("- a\n", "a configuration is a mapping"),
        (
            "model_list:\n  - model_name: v\n    litellm_params: {model: text-embedding-3-small}\n",
            "no chat model",
        ),
        (
            BLOCK
            + "router_settings:\n  routing_strategy_args: {weights: 3}\n  routing_strategy: routebalance\n",
            "weights",
        ),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(tmp_path: Path, text: str, part: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    result = run("init", file, "--write")
    assert result.exit_code == 1
    assert part in result.stderr
    assert file.read_text() == text


@pytest.mark.parametrize("shared", ["{<<: *d, model_name: b,", "{model_info: *i, model_name: b,"])
def test_what_several_models_share_gets_no_quality_of_one_of_them(tmp_path: Path, shared: str) -> None:
    text = (
        "defaults: &d\n  model_info: &i {base_model: x}\n"
        "model_list:\n"
        "  - <<: *d\n    model_name: a\n    litellm_params: {model: hosted_vllm/a-7b}\n"
        f"  - {shared} litellm_params: {{model: hosted_vllm/b-13b}}}}\n"
    )
    for entry in written(tmp_path, text)["model_list"]:
        assert entry["model_info"] == {"base_model": "x"}
