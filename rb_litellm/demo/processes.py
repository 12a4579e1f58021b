"""Child processes that never outlive us: own process groups, ended on every way out."""

from __future__ import annotations

import atexit
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_GRACE_S = 8.0
"""Time between asking a process group to end and killing it."""
_TAIL_CHARS = 3000
_PORTS = (12_000, 22_700)
"""Where a free port is looked for: below the ports of outgoing connections, and so when 10,000 is added."""


class ChildFailed(RuntimeError):
    """A child process ended or did not become ready; carries the end of what it printed."""


class Child:
    """One running program with all that it starts. Its output goes to `log`."""

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self._log = log
        with log.open("wb") as output:
            # A session of its own, so that workers it forks are in one group with it.
            self._process = subprocess.Popen(
                list(command),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=dict(env),
                start_new_session=True,
            )
        atexit.register(self.stop)

    def wait_until(self, ready: Callable[[], bool], timeout_s: float) -> None:
        """Return once `ready()` is true.

        Raises:
            ChildFailed: the program ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if self._process.poll() is not None:
                raise ChildFailed(f"{self.name} ended with code {self._process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.name} was not ready after {timeout_s:g} s:\n{self.tail()}")
            time.sleep(0.1)

    def wait(self, timeout_s: float) -> int:
        """The exit code, once the program has ended by itself.

        Raises:
            ChildFailed: it has not ended in time.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ChildFailed(f"{self.name} still runs after {timeout_s:g} s:\n{self.tail()}") from None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def output(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace")

    def tail(self) -> str:
        """The end of what it has printed."""
        return self.output()[-_TAIL_CHARS:]

    def stop(self) -> None:
        """End the whole group: first asked, then killed. Safe to call again."""
        atexit.unregister(self.stop)
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        # Also when the leader is gone: a worker it left behind is still in the group.
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on at this moment.

    It lies below the ports that the system gives to outgoing connections. A client that tries such a port
    before its server listens may be given that very port as its own and then talks to itself. The port 10,000
    above it, which a node of a Redis Cluster takes too, lies below them as well.
    """
    while True:
        port = random.randrange(*_PORTS)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def listens(port: int) -> bool:
    """Whether a connection to the loopback port is accepted."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end_on_sigterm() -> None:
    """Turn SIGTERM and SIGHUP into SystemExit, so that every `with` and `atexit` of the program runs."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, leave)
