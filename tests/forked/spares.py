"""Workers of a forked proxy: children that wait, forked before their supervisor has run anything.

Uvicorn starts workers by `multiprocessing`, which executes a new Python with some open files. Here one of the
spares takes their place: it is given the same files under the same numbers, the same environment and the same
arguments, and runs the same code. It was a child of the supervisor all along.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing.util
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

_ABOVE = 700
"""Files are moved there before they get their numbers, so that none takes another's."""
_FILES = 64
"""More than a worker is ever given."""


def keep(number: int, read: set[str]) -> Callable[[], None] | None:
    """Fork this many spares, which the next workers are made of; later workers are started as ever.

    Returns what to run in a spare whose turn has come, and None here. `read` are variables that must be as
    they were.
    """
    spares: list[tuple[int, socket.socket]] = []
    for _ in range(number):
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            for connection in (ours, *(other for _, other in spares)):
                connection.close()
            return _await_turn(theirs, read)
        theirs.close()
        spares.append((pid, ours))
    _replace_start(spares, dict(os.environ), read)
    return None


def differing(before: Mapping[str, str], env: Mapping[str, str], read: Iterable[str]) -> list[str]:
    """Variables that were read and are not the same any more."""
    return sorted(name for name in read if before.get(name) != env.get(name))


def set_environment(env: Mapping[str, str], read: Iterable[str]) -> None:
    """Take over this environment.

    Raises:
        RuntimeError: a variable differs that has been read already.
    """
    if late := differing(os.environ, env, read):
        raise RuntimeError(f"LiteLLM was imported with another value of {', '.join(late)}")
    os.environ.clear()
    os.environ.update(env)


def _replace_start(
    spares: list[tuple[int, socket.socket]], before: Mapping[str, str], read: set[str]
) -> None:
    start = multiprocessing.util.spawnv_passfds  # type: ignore[attr-defined]

    def start_spare(path: Any, arguments: Sequence[Any], files: Iterable[Any]) -> int:
        is_worker = "--multiprocessing-fork" in arguments
        late = differing(before, os.environ, read)
        if is_worker and late:
            print(f"A worker is started and not forked: {', '.join(late)} was read at import", flush=True)
        if not is_worker or late or not spares:
            return int(start(path, arguments, files))
        pid, connection = spares.pop(0)
        numbers = sorted(int(file) for file in files)
        told = {"code": arguments[arguments.index("-c") + 1], "env": dict(os.environ), "files": numbers}
        with connection:
            socket.send_fds(connection, [b"."], numbers)
            connection.sendall(json.dumps(told).encode())
        return pid

    multiprocessing.util.spawnv_passfds = start_spare  # type: ignore[attr-defined]


def _await_turn(connection: socket.socket, read: set[str]) -> Callable[[], None]:
    with connection:
        _, files, _, _ = socket.recv_fds(connection, 1, _FILES)
        if not files:
            os._exit(0)  # the supervisor has ended
        with connection.makefile("rb") as rest:
            told = json.loads(rest.read())
    above = [fcntl.fcntl(file, fcntl.F_DUPFD, _ABOVE) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(above, told["files"], strict=True):
        os.dup2(file, number)
        os.close(file)
    set_environment(told["env"], read)
    sys.argv = ["-c", "--multiprocessing-fork"]
    return lambda: exec(told["code"], {"__name__": "__main__"})
