"""Real engines as processes. `nox -s engines` installs them and says where; else the tests are skipped."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import litellm
import pytest

import rb_litellm
from rb_litellm.demo.processes import free_port
from rb_litellm.litellm_adapter import worker as worker_module

SLOTS = 2
START_S = 600.0


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a vLLM on the CPU: a small model of random weights, SLOTS requests at once.

    ENGINE_URL names one that runs already, with this many slots and the model name `tiny`.
    """
    if url := os.environ.get("ENGINE_URL"):
        yield url
        return
    if "ENGINES" not in os.environ:
        pytest.skip("only where it is asked for: nox -s engines")
    python = Path(os.environ["ENGINES"]) / "vllm" / "bin" / "python"
    folder, port = tmp_path_factory.mktemp("vllm"), free_port()
    maker = Path(__file__).with_name("make_model.py")
    subprocess.run([python, maker, folder / "model", "512", "8"], check=True, stdout=subprocess.DEVNULL)
    environment = {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1",
        "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    environment.pop("PYTHONPATH", None)
    command = [
        python.with_name("vllm"), "serve", folder / "model", "--host", "127.0.0.1", "--port", str(port),
        "--served-model-name", "tiny", "--max-num-seqs", str(SLOTS), "--max-model-len", "2048",
        "--dtype", "bfloat16", "--enforce-eager",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", folder / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30.0)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(url, timeout=5.0).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1.0)
    raise RuntimeError(f"the engine has not started:\n{log.read_text(errors='replace')[-2000:]}")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test gets a worker that has learned nothing."""
    rb_litellm.register()
    monkeypatch.setattr(worker_module, "_worker", None)
    litellm.logging_callback_manager._reset_all_callbacks()
    yield
    litellm.logging_callback_manager._reset_all_callbacks()
