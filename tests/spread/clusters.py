"""A Dask cluster of real processes, started from the packages that are installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rb_litellm.demo.processes import Child, free_port

ROOT = Path(__file__).parents[2]
START_S = 120.0


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """A scheduler without workers; its address."""
    port = free_port()
    command = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show")
    child = _started("scheduler", command, folder, ROOT)
    try:
        child.wait_until(lambda: "Scheduler at:" in child.output(), START_S)
        yield f"tcp://127.0.0.1:{port}"
    finally:
        child.stop()


@contextmanager
def worker(address: str, folder: Path, threads: int = 1, package: Path = ROOT) -> Iterator[Child]:
    """A worker that has the package of the folder `package`."""
    command = (
        "worker", address, "--nthreads", str(threads), "--no-dashboard", "--local-directory", str(folder),
        "--worker-port", str(free_port()), "--name", f"{folder.name}-{threads}",
    )  # fmt: skip
    child = _started(f"worker-{threads}", command, folder, package)
    try:
        child.wait_until(lambda: "Registered to:" in child.output(), START_S)
        yield child
    finally:
        child.stop()


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[str]:
    """A scheduler with so many workers of one thread each."""
    with ExitStack() as stack:
        address = stack.enter_context(scheduler(folder))
        for number in range(workers):
            its = folder / f"worker{number}"
            its.mkdir()
            stack.enter_context(worker(address, its))
        yield address


def _started(name: str, command: tuple[str, ...], folder: Path, package: Path) -> Child:
    # The script, not `python -m`: that would look for packages in the present folder first.
    program = (str(Path(sys.executable).with_name("dask")), *command)
    env = {**os.environ, "PYTHONPATH": f"{package}:{ROOT}"}
    return Child(name, program, folder / f"{name}.log", env)
