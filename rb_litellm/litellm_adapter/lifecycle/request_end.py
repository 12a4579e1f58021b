"""When a request of the proxy is over: with the server's task, which also sends a streamed answer.

With `sse_keepalive_ping_interval_seconds` LiteLLM makes the answer in a task of its own, so that it can write
to a client who waits for the first token. That task ends when the answer begins; its result is then sent by
the server's task, and lives as long as that takes.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from pathlib import PurePath
from typing import Any


def until_request_ends(task: asyncio.Task[Any], ended: Callable[[str | None], None]) -> None:
    """Call `ended(error)` when the request is over that this running task serves."""
    of_litellm = _is_of_litellm(task)

    def done(over: asyncio.Task[Any]) -> None:
        if over.cancelled():
            ended("CancelledError")
        elif of_litellm and (answer := _streamed(over)) is not None:
            weakref.finalize(answer, ended, None).atexit = False
        else:
            # Exceptions of the server's task are the server's to retrieve.
            ended(None)

    task.add_done_callback(done)


def _is_of_litellm(task: asyncio.Task[Any]) -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return code is not None and "litellm" in PurePath(code.co_filename).parts


def _streamed(over: asyncio.Task[Any]) -> object | None:
    """The answer that the task has made, if it is a stream."""
    answer = None if over.exception() is not None else over.result()
    return answer if hasattr(answer, "body_iterator") else None
