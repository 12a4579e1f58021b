"""A real inference engine as a process that can be killed, stopped, let go on and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from rb_litellm.demo.processes import Child, free_port

SLOTS = 2
WINDOW = 2_048
MODEL = "tiny"
"""The name by which both serve their model."""
START_S = 600.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
_VLLM = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}  # fmt: skip


@dataclass
class Engine:
    """One server of SLOTS requests at once, with a window of WINDOW tokens each."""

    name: str
    """As it is called in what our scraper says of its metrics."""
    command: Sequence[str]
    """Its own, without where it listens."""
    folder: Path
    provider: str
    """LiteLLM's, by which its users have it."""
    port: int = field(default_factory=free_port)
    _child: Child | None = None

    @property
    def root(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Of its OpenAI API."""
        return f"{self.root}/v1"

    def start(self, ready: bool = True) -> None:
        """Start it, and wait until it serves unless told otherwise."""
        self.stop()
        environment = {**os.environ, **_ONE_THREAD, **_VLLM}
        environment.pop("PYTHONPATH", None)
        command = [*self.command, "--host", "127.0.0.1", "--port", str(self.port)]
        self._child = Child(self.name, command, self.folder / f"{self.name}.log", environment)
        if ready:
            self.ready()

    def ready(self) -> None:
        """Wait until it serves."""
        assert self._child is not None
        self._child.wait_until(self.serves, START_S)

    def serves(self) -> bool:
        """Whether it is ready."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.root}/health", timeout=5.0).status_code == 200
        return False

    def signal(self, number: signal.Signals, part: str = "") -> None:
        """Send a signal to all of its processes, or to those with `part` in their name."""
        assert self._child is not None
        if not part:
            os.killpg(self._child.pid, number)
            return
        for process in _group(self._child.pid):
            with suppress(OSError):
                if part in (Path("/proc") / str(process) / "cmdline").read_text(errors="replace"):
                    os.kill(process, number)

    def stop(self) -> None:
        """End it, whatever state it is in."""
        if self._child is not None:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGCONT)
            self._child.stop()
            self._child = None


def _group(leader: int) -> Iterator[int]:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == leader:
                yield int(stat.parent.name)


@contextmanager
def running_vllm(home: Path, folder: Path) -> Iterator[Engine]:
    """vLLM's build for CPUs, with a small model of random weights."""
    python = home / "vllm" / "bin" / "python"
    maker = Path(__file__).with_name("make_model.py")
    subprocess.run([python, maker, folder / "model", "512", "8"], check=True, stdout=subprocess.DEVNULL)
    command = [
        str(python.with_name("vllm")), "serve", str(folder / "model"), "--served-model-name", MODEL,
        "--max-num-seqs", str(SLOTS), "--max-model-len", str(WINDOW), "--dtype", "bfloat16",
        "--enforce-eager",
    ]  # fmt: skip
    with _running(Engine("vLLM", command, folder, "hosted_vllm")) as engine:
        yield engine


@contextmanager
def running_llama_server(home: Path, folder: Path) -> Iterator[Engine]:
    """llama.cpp's llama-server with a model of 135M parameters, which gives real answers."""
    server = next(home.glob("llama_cpp_python-*/vendor/llama.cpp/build/bin/llama-server"))
    model = next((home / "llama").rglob("SmolLM2-135M-Instruct*.gguf"))
    command = [
        str(server), "--model", str(model), "--alias", MODEL, "--parallel", str(SLOTS),
        "--ctx-size", str(WINDOW * SLOTS), "--threads", "1", "--threads-batch", "1",
        "--metrics", "--no-webui",
    ]  # fmt: skip
    with _running(Engine("llama.cpp", command, folder, "openai")) as engine:
        yield engine


@contextmanager
def _running(engine: Engine) -> Iterator[Engine]:
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()
