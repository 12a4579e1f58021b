"""The process that proxies are forked from.

Whoever connects to its socket sends one JSON line, `{"command", "env", "folder", "log"}`, and is answered
with two: the process id of the proxy, and its exit code once it has ended. In between stands one process for
each proxy, which waits for it. When the imports are done, a file with the socket's name and ending `.ready`
appears: a JSON list of the variables that they read. The server ends when whoever started it has ended.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.forked import spares

Program = Callable[[], None]
_LOOKS_S = 5.0
"""How often it is looked whether the starter is still there."""


def main(name: str) -> Program:
    """Import, listen on the socket of this name and fork. Returns in forks, with what they are to run."""
    parent = os.getppid()
    read, path = variables_read(_import_all), Path(name)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen(64)
        listener.settimeout(_LOOKS_S)
        unfinished = path.with_suffix(".part")
        unfinished.write_text(json.dumps(sorted(read)))
        unfinished.rename(path.with_suffix(".ready"))
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait for proxies
        while os.getppid() == parent:
            with suppress(TimeoutError), listener.accept()[0] as connection:
                if os.fork() == 0:
                    listener.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    return _attend(connection, read)
    return lambda: None


def _import_all() -> None:
    """What the proxy and its workers import before they read their configuration."""
    import litellm.proxy.proxy_cli  # noqa: F401
    from litellm.proxy.proxy_server import app

    import rb_litellm.launcher
    import rb_litellm.litellm_adapter.proxy.starting.preflight
    import rb_litellm.litellm_adapter.register  # noqa: F401

    # FastAPI puts each of LiteLLM's six hundred paths together when it first looks for one; three seconds.
    for route in app.router.routes:
        route.matches({"type": "http", "method": "GET", "path": "/nothing", "root_path": "", "headers": []})


def variables_read(act: Callable[[], None]) -> set[str]:
    """Names of the environment variables that were looked for, whether they were there or not."""
    kind, names = type(os.environ), set()
    look_up = kind.__getitem__

    def noting(self: Any, name: str) -> str:
        names.add(name)
        return str(look_up(self, name))

    kind.__getitem__ = noting  # type: ignore[method-assign]
    try:
        act()
    finally:
        kind.__getitem__ = look_up  # type: ignore[method-assign]
    return names


def _attend(connection: socket.socket, read: set[str]) -> Program:
    """Start one proxy, wait for it and tell its exit code. Returns in the proxy and its workers alone."""
    with connection.makefile("r") as lines:
        asked = json.loads(lines.readline())
    pid = os.fork()
    if pid == 0:
        connection.close()
        return _proxy(**asked, read=read)
    connection.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    with suppress(OSError):  # who asked may be gone
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _proxy(command: list[str], env: Mapping[str, str], folder: str, log: str, read: set[str]) -> Program:
    """Become what `subprocess` would have started, but for the imports."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.chdir(folder)
    spares.set_environment(env, read)
    sys.argv = list(command)
    sys.path[0] = str(Path(command[0]).parent)
    workers = int(command[command.index("--num_workers") + 1])
    as_worker = spares.keep(workers + 1, read) if workers > 1 else None

    def script() -> None:
        runpy.run_path(command[0], run_name="__main__")

    return as_worker or script
