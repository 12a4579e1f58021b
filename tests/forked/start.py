"""Starting a proxy as a fork where that is the same, and really where it might not be."""

from __future__ import annotations

import atexit
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rb_litellm.bench.real.testbed import RB_LITELLM, START_S
from rb_litellm.demo.processes import Child
from rb_litellm.demo.stage import clean_environment

ROOT = Path(__file__).parents[2]
PROGRAM = "import sys; sys.path[0] = sys.argv[1]; from tests.forked.server import main; main(sys.argv[2])()"
OFF = "REAL_STARTS"
PASSING = ("PYTEST_CURRENT_TEST",)
"""Variables of the moment at which the server happens to be started."""
PATIENCE = ("--timeout_worker_healthcheck", "30")
"""Workers that import nothing answer sooner. It is also how long a killed one may go unnoticed."""


def start(name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> Child:
    """A running child, as of `Child`."""
    if os.environ.get(OFF) or sys.platform != "linux" or tuple(command[:1]) != RB_LITELLM:
        return Child(name, command, log, env)
    server = _server()
    if not server.fits(env):
        return Child(name, command, log, env)
    return ForkedChild(server, name, [*command, *PATIENCE], log, env)


class Server:
    """The server of this process's tests; it ends with them."""

    def __init__(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="rb-forked-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self.path = folder / "socket"
        self._env = {name: value for name, value in clean_environment().items() if name not in PASSING}
        ready = self.path.with_suffix(".ready")
        command = [sys.executable, "-c", PROGRAM, str(ROOT), str(self.path)]
        self._child = Child("fork server", command, folder / "log", self._env)
        self._child.wait_until(ready.exists, START_S)
        self._read = json.loads(ready.read_text())

    def fits(self, env: Mapping[str, str]) -> bool:
        """Whether all that was read while LiteLLM was imported is the same in `env`."""
        return all(env.get(name) == self._env.get(name) for name in self._read)


@cache
def _server() -> Server:
    return Server()


class ForkedChild(Child):
    """A child that the server has forked."""

    def __init__(
        self, server: Server, name: str, command: Sequence[str], log: Path, env: Mapping[str, str]
    ) -> None:
        self.name = name
        self._log = log
        self._process: Any = _Forked(server.path, command, log, env)
        atexit.register(self.stop)


class _Forked:
    """What `Child` uses of `subprocess.Popen`."""

    def __init__(self, server: Path, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.args = list(command)
        self.returncode: int | None = None
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(server))
        asked = {"command": self.args, "env": dict(env), "folder": os.getcwd(), "log": str(log)}
        self._connection.sendall(json.dumps(asked).encode() + b"\n")
        self._told = self._connection.makefile("rb", buffering=0)
        self.pid = int(self._told.readline())

    def poll(self) -> int | None:
        return self._await(0.0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._await(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def _await(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], timeout)[0]:
            self.returncode = int(self._told.readline())
            self._told.close()
            self._connection.close()
        return self.returncode
