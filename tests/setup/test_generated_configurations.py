"""`routebalance init` over generated configurations: what it writes loads, passes, and needs nothing more.

They mix chat models with others, have router settings, callbacks, groups, includes and layouts of many kinds.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from litellm import Router

from rb_litellm.doctor import file_checks, policies
from rb_litellm.doctor.configuration import Configuration
from rb_litellm.litellm_adapter.proxy.starting.config_files import merged, read_config, read_files
from rb_litellm.litellm_adapter.register import register
from rb_litellm.setup.proposal import NothingToRoute, propose
from tests.setup.test_init import written

CHAT = ("hosted_vllm/qwen2.5-7b", "hosted_vllm/llama-3.3-70b", "ollama/house-model", "openai/gpt-4o-mini")
OTHERS = {
    "vectors": "hosted_vllm/BAAI/bge-m3",
    "ears": "hosted_vllm/openai/whisper-large-v3",
    "openai-vectors": "openai/text-embedding-3-small",
    "brush": "openai/gpt-image-1",
    "voice": "openai/tts-1",
    "ranks": "hosted_vllm/BAAI/bge-reranker-v2-m3",
}
NAMES = ("a", "b", "c", "auto", "the model: no 4", *OTHERS)
INFOS = (
    None,
    {},
    {"base_model": "x"},
    {"mode": "chat"},
    {"routebalance": {"tpot_ms": 20}},
    {"routebalance": {}},
)


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    entries = []
    for number in range(draw(st.integers(1, 6))):
        name = draw(st.sampled_from(NAMES))
        params: dict[str, Any] = {"model": OTHERS.get(name) or draw(st.sampled_from(CHAT)), "api_key": "k"}
        if params["model"].startswith("hosted_vllm"):
            params["api_base"] = f"http://gpu-{number}:8000/v1"
        entry = {"model_name": name, "litellm_params": params}
        info = None if name in OTHERS else draw(st.sampled_from(INFOS))
        entries.append(entry if info is None else {**entry, "model_info": dict(info)})
    config: dict[str, Any] = {"model_list": entries}
    router = draw(
        st.sampled_from([None, {}, {"num_retries": 2}, {"routing_strategy": "least-busy"}, "groups"])
    )
    if router == "groups":
        group = {
            "group_name": "fixed",
            "models": [entries[0]["model_name"]],
            "routing_strategy": "least-busy",
        }
        router = {"routing_groups": [group]}
    if draw(st.booleans()):
        config["router_settings"] = router
    callbacks = draw(st.sampled_from([None, [], "prometheus", ["prometheus", "langfuse"]]))
    if draw(st.booleans()):
        config["litellm_settings"] = {"drop_params": True, "callbacks": callbacks}
    return config


@st.composite
def layouts(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, str]]:
    """A configuration, and its texts by file name; sections may stand in an included file."""
    config = draw(configurations())
    apart = [key for key in config if draw(st.booleans())] if draw(st.booleans()) else []
    parts = {"config.yaml": {k: v for k, v in config.items() if k not in apart}}
    if apart:
        parts["more.yaml"] = {key: config[key] for key in apart}
        parts["config.yaml"]["include"] = ["more.yaml"]
    return config, {name: draw(st.sampled_from(WRITERS))(part) for name, part in parts.items()}


def _commented(part: dict[str, Any]) -> str:
    text = yaml.safe_dump(part, sort_keys=False, indent=4)
    return "# ours\n" + "".join(f"{line}  # {number}\n" for number, line in enumerate(text.splitlines()))


WRITERS = (
    lambda part: yaml.safe_dump(part, sort_keys=False),
    lambda part: yaml.safe_dump(part, sort_keys=False, default_flow_style=True, width=60),
    lambda part: yaml.safe_dump(part, sort_keys=False, default_flow_style=None).replace("\n", "\r\n"),
    lambda part: json.dumps(part, indent=2),
    _commented,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=layouts())
def test_the_result_loads_passes_and_needs_nothing_more(
    layout: tuple[dict[str, Any], dict[str, str]], tmp_path: Path
) -> None:
    register()
    config, texts = layout
    for name, text in texts.items():
        (tmp_path / name).write_text(text, newline="")
    file = tmp_path / "config.yaml"
    try:
        after = initialised(file)
    except NothingToRoute:
        return
    findings = [*file_checks.check(Configuration(file, after)), *policies.check(Configuration(file, after))]
    assert [finding for finding in findings if finding.level == "error"] == []
    assert initialised(file) == after  # and no text was changed
    assert "rb_litellm.proxy" in after["litellm_settings"]["callbacks"]
    kept = {**config, "router_settings": None, "litellm_settings": None, "model_list": None}
    assert {key: after.get(key) for key in kept if kept[key] is not None} == {
        key: value for key, value in kept.items() if value is not None
    }
    assert [entry["litellm_params"] for entry in after["model_list"]] == [
        entry["litellm_params"] for entry in config["model_list"]
    ]
    Router(model_list=after["model_list"], **after["router_settings"]).discard()


def initialised(file: Path) -> dict[str, Any]:
    """The configuration after `init --write`, as LiteLLM reads it."""
    files = read_files(file)
    proposal = propose(Configuration(file, merged(files)), files)
    for path, text in proposal.texts.items():
        path.write_text(text, newline="")
    return dict(read_config(file))


def test_a_section_of_an_included_file_is_added_to_there(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("# theirs\nlitellm_settings:\n  callbacks: [prometheus]\n")
    model = {"model_name": "m", "litellm_params": {"model": "hosted_vllm/qwen2.5-7b"}}
    written(tmp_path, yaml.safe_dump({"include": ["s.yaml"], "model_list": [model]}))
    assert (tmp_path / "s.yaml").read_text() == (
        "# theirs\nlitellm_settings:\n  callbacks: [prometheus, rb_litellm.proxy]\n"
    )
    assert "litellm_settings" not in (tmp_path / "config.yaml").read_text()


@pytest.mark.parametrize("router", ["router_settings:\n  num_retries: 2  # few\n", "router_settings: {}\n"])
def test_router_settings_with_scalars_only_or_nothing_are_added_to(tmp_path: Path, router: str) -> None:
    entry = "  - model_name: m\n    litellm_params: {model: hosted_vllm/qwen2.5-7b}\n"
    after = written(tmp_path, f"model_list:\n{entry}{entry}{router}")["router_settings"]
    assert after["routing_strategy"] == "routebalance"


def test_servers_of_embeddings_reranking_and_speech_stay_out_of_the_group(tmp_path: Path) -> None:
    models = {
        "small": "qwen2.5-7b", "large": "llama-3.3-70b", "bge": "BAAI/bge-m3",
        "rerank": "BAAI/bge-reranker-v2-m3", "whisper": "openai/whisper-large-v3",
    }  # fmt: skip
    entries = [
        {"model_name": name, "litellm_params": {"model": f"hosted_vllm/{m}"}} for name, m in models.items()
    ]
    after = written(tmp_path, yaml.safe_dump({"model_list": entries}))
    assert after["router_settings"]["routing_groups"][0]["models"] == ["small", "large"]
    # What each model is worth the default predictor knows: nothing is written of it.
    assert all("model_info" not in entry for entry in after["model_list"])
