"""YAML blocks parse as settings, complete files load in LiteLLM, and every setting is documented."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rb_litellm.config import DeploymentSettings, RouteBalanceSettings, parse_deployment, parse_settings
from rb_litellm.litellm_adapter.proxy.starting.preflight import strategies
from tests.docs.pages import PAGES, ROOT, Block, blocks

_ARGS = "routing_strategy_args"
_SECTIONS = {"model_list", "router_settings", "litellm_settings", "general_settings"}
_LOADER = Path(__file__).with_name("load_in_litellm.py")


def documents(block: Block) -> Iterator[Mapping[str, Any]]:
    """What of a block is a configuration of LiteLLM, or a part of one."""
    for document in yaml.safe_load_all(block.text):
        if "kind" not in document:
            yield document
        elif document["kind"] == "ConfigMap":
            yield from (yaml.safe_load(text) for text in document["data"].values())


def whole(document: Mapping[str, Any]) -> bool:
    return {"model_list", "router_settings", "general_settings"} <= set(document)


YAML = [block for page in PAGES for block in blocks(page, "yaml")]


@pytest.mark.parametrize("block", YAML, ids=str)
def test_a_yaml_block_is_made_of_settings_that_are_understood(block: Block) -> None:
    for document in documents(block):
        if _ARGS in document:
            assert set(document) == {_ARGS}
            parse_settings(document[_ARGS], _ARGS)
            continue
        assert set(document) <= _SECTIONS
        for where, _, args in strategies(document):
            parse_settings(args, where)
        for entry in document.get("model_list", ()):
            parse_deployment(entry.get("model_info", {}).get("routebalance"), entry["model_name"])


@pytest.mark.parametrize("block", [b for page in PAGES for b in blocks(page, "json")], ids=str)
def test_a_json_block_is_rows(block: Block) -> None:
    for line in block.text.splitlines():
        assert isinstance(json.loads(line), dict)


def test_complete_files_load_in_litellm(tmp_path: Path) -> None:
    files = []
    for block in YAML:
        for document in filter(whole, documents(block)):
            files.append(tmp_path / f"{len(files)}.yaml")
            files[-1].write_text(yaml.safe_dump(document))
    files.append(ROOT / "config" / "kubernetes" / "base" / "settings.yaml")
    assert len(files) >= 4
    environment = {
        "LITELLM_MASTER_KEY": "sk-" + os.urandom(24).hex(),
        "OPENAI_API_KEY": "none",
        "ROUTEBALANCE_REDIS_URL": "redis://127.0.0.1:1/0",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        [sys.executable, str(_LOADER), *map(str, files)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')] == [
        {"file": file.name, "ours": True} for file in files
    ]


def test_every_setting_is_documented() -> None:
    text = "".join((ROOT / "docs" / page).read_text() for page in ("configuration.md", "controls.md"))
    for model in (RouteBalanceSettings, DeploymentSettings):
        assert [name for name in model.model_fields if f"`{name}`" not in text] == []
