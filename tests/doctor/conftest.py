"""Configurations in real files, and a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rb_litellm.bench.redis_server import RedisServer

Write = Callable[..., Path]


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(autouse=True)
def no_redis_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "REDIS_HOST", "REDIS_CLUSTER_NODES", "REDIS_SENTINEL_NODES"):
        monkeypatch.delenv(name, raising=False)


def model(group: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry of `model_list` whose price and quality are known, but for what `more` says."""
    params = {"model": name or f"hosted_vllm/{group}", "api_base": "http://gpu:8000/v1"}
    prices = {"input_cost_per_token": 1e-7, "output_cost_per_token": 1e-7}
    return {
        "model_name": group,
        "litellm_params": {**params, **prices, **more.pop("params", {})},
        "model_info": {"routebalance": {"quality": 0.5}, **more},
    }


def auto(*models: str, **fields: Any) -> dict[str, Any]:
    """Router settings with one routing group of ours."""
    group = {"group_name": "auto", "models": list(models), "routing_strategy": "routebalance", **fields}
    return {"routing_groups": [group]}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a configuration of these sections and gives its path."""

    def to_file(name: str = "config.yaml", **sections: Any) -> Path:
        file = tmp_path / name
        file.write_text(yaml.safe_dump(sections, sort_keys=False))
        return file

    return to_file
