"""A TCP proxy that misbehaves on demand, between a program and the Redis it uses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Literal

from rb_litellm.demo.processes import free_port

Fault = Literal["none", "refused", "hanging", "slow", "reset"]
"""refused: no connection is taken. hanging: connections are taken, nothing is answered. slow: every answer
comes 200 ms late. reset: the connection is reset in the middle of an answer."""

SLOW_S = 0.2
_CHUNK = 65_536


class FaultProxy:
    """Passes bytes between its port and `target_port`, with the fault that is set; runs in its own thread."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._fault: Fault = "none"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def set(self, fault: Fault) -> None:
        """Have this fault from now on, on the connections that are open as well."""
        self._call(self._set(fault))

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10.0)

    async def _set(self, fault: Fault) -> None:
        self._fault = fault
        if fault == "refused":
            if self._server is not None:
                self._server.close()
                self._server = None
            for writer in list(self._writers):
                writer.transport.abort()
        elif self._server is None:
            await self._listen()

    async def _end(self) -> None:
        await self._set("refused")
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_writer}
        try:
            await asyncio.gather(self._pump(reader, to_writer, False), self._pump(to_reader, writer, True))
        finally:
            for end in (writer, to_writer):
                end.transport.abort()
                self._writers.discard(end)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(_CHUNK):
                if answers and self._fault == "hanging":
                    continue
                if answers and self._fault == "slow":
                    await asyncio.sleep(SLOW_S)
                if answers and self._fault == "reset":
                    sink.write(data[: max(len(data) // 2, 1)])
                    await sink.drain()
                    # Closing with no time to linger sends a reset in place of an orderly end.
                    linger = struct.pack("ii", 1, 0)
                    sink.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    break
                sink.write(data)
                await sink.drain()
        sink.transport.abort()
