"""A server model in real time: the pure `Instance` driven by the event loop's clock."""

from __future__ import annotations

import asyncio

from rb_litellm.sim.servers.instance import Hardware, Instance, Job

_LATE_S = 0.25
"""After a longer stall of the process the lost time is given up instead of being caught up with."""


class LiveInstance:
    """Runs jobs and puts the count of tokens written into each job's queue (`job.tag`) as they come.

    `time_scale` is how many times faster than the modelled hardware it runs. Tokens come in groups of
    up to `stream_interval`, the first one always alone (vLLM's option of that name).
    """

    def __init__(self, hardware: Hardware, time_scale: float = 1.0, stream_interval: int = 1) -> None:
        self.instance = Instance(hardware)
        self._second = 1.0 / time_scale
        self._interval = stream_interval
        self._start = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, input_tokens: int, output_tokens: int, prefix: tuple[int, ...] = ()) -> Job:
        """Queue a request. Its `tag` is an `asyncio.Queue[int]` of tokens written.

        `prefix` names the blocks that its prompt begins with, for the prefix cache.

        Raises:
            ValueError: it could never fit into the server's memory.
        """
        job = Job(input_tokens, output_tokens, tag=asyncio.Queue(), prefix=prefix)
        self.instance.add(job)
        now = asyncio.get_running_loop().time()
        if self._timer is None:
            self._begin(now)
        else:
            # It joins the batch when the current iteration ends, not after several.
            elapsed = max(now - self._start, 0.0) / self._second
            self._timer.cancel()
            self._wait(self.instance.cut(elapsed))
        return job

    def cancel(self, job: Job) -> None:
        """Free what the request holds; nothing happens if it is done."""
        self.instance.cancel(job)

    def _begin(self, start: float) -> None:
        took = self.instance.begin(self._interval)
        self._start = start
        if took is None:
            self._timer = None
        else:
            self._wait(took)

    def _wait(self, took: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._start + took * self._second, self._finish)

    def _finish(self) -> None:
        assert self._timer is not None
        ended = self._timer.when()
        for job, tokens in self.instance.finish():
            job.tag.put_nowait(tokens)
        now = asyncio.get_running_loop().time()
        self._begin(ended if now - ended < _LATE_S else now)
