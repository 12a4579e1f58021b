"""The engines, started once each. `nox -s engines` installs them and says where; else tests are skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import litellm
import pytest

import rb_litellm
from rb_litellm.litellm_adapter import worker as worker_module
from tests.engines.engine import Engine, running_llama_server, running_vllm

ENGINES = {"vllm": running_vllm, "llama-server": running_llama_server}


@pytest.fixture(scope="session")
def home() -> Path:
    """Where the engines are installed."""
    if "ENGINES" not in os.environ:
        pytest.skip("only where it is asked for: nox -s engines")
    return Path(os.environ["ENGINES"])


@pytest.fixture(scope="session", params=list(ENGINES))
def engine(
    request: pytest.FixtureRequest, home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Each of them in turn; the last one has ended before the next one starts."""
    with ENGINES[request.param](home, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test gets a worker that has learned nothing."""
    rb_litellm.register()
    monkeypatch.setattr(worker_module, "_worker", None)
    litellm.logging_callback_manager._reset_all_callbacks()
    yield
    litellm.logging_callback_manager._reset_all_callbacks()
