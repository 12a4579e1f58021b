"""One inference server with continuous batching, as vLLM schedules it; its driver keeps the time.

An iteration serves every decoding sequence with one token and spends what is left of the token
budget on prefill, in chunks: running prefills first, then the head of the waiting queue, as far as
sequence slots and KV cache allow. It takes time that grows with the tokens of the batch and with the
context that attention reads. When the KV cache is full, the sequence that came last gives its place
back and is computed anew later (vLLM's recompute preemption).

The driver calls `begin`, lets the returned time pass, and calls `finish` for the tokens written. The
simulator does so on its event queue, the demo's servers with real sleeps.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from rb_litellm.sim.servers.prefix_cache import BLOCK_TOKENS, PrefixCache


@dataclass(frozen=True)
class Hardware:
    """How fast one model runs on one set of GPUs, and how much it can hold at a time.

    `curve` holds (tokens of the batch, seconds) in rising order: the time of one forward pass without
    attention, linear in between and beyond.
    """

    curve: tuple[tuple[int, float], ...]
    attention_s_per_context_token: float
    """Time to read one cached token of one sequence in one iteration."""
    kv_tokens: int
    """Tokens that the KV cache holds."""
    max_num_seqs: int = 256
    max_batched_tokens: int = 2048
    """Token budget of an iteration."""
    prefix_cache: bool = True
    """It keeps the beginnings of prompts that name them."""

    @cached_property
    def _seconds(self) -> tuple[float, ...]:
        return tuple(_interpolate(self.curve, n) for n in range(self.max_batched_tokens + 1))

    def iteration_s(self, batch_tokens: int, context_tokens: float = 0.0) -> float:
        """Time of one iteration that computes `batch_tokens` and reads `context_tokens` of cache."""
        return self._seconds[batch_tokens] + self.attention_s_per_context_token * context_tokens


def _interpolate(curve: tuple[tuple[int, float], ...], tokens: int) -> float:
    place = bisect_right(curve, (tokens, float("inf")))
    place = min(max(place, 1), len(curve) - 1)
    (x0, y0), (x1, y1) = curve[place - 1], curve[place]
    return y0 + (y1 - y0) * (max(tokens, x0) - x0) / (x1 - x0)


@dataclass(slots=True, eq=False)
class Job:
    """One request on the server."""

    input_tokens: int
    output_tokens: int
    """Tokens it will write; at least one."""
    tag: Any = None
    """The driver's own."""
    prefix: tuple[int, ...] = ()
    """Names of the blocks that the prompt begins with, for the prefix cache."""
    leaves: tuple[int, ...] = ()
    """Names of the blocks that prompt and answer fill, for prompts that go on from there."""
    written: int = 0
    to_prefill: int = field(init=False)
    cached: int = 0
    """Tokens of KV cache held."""
    chunk: int = 0
    """Prefill tokens of the iteration under way."""
    found: int = 0
    """Tokens of the prompt that were cached when it was begun with."""
    gone: bool = False

    def __post_init__(self) -> None:
        self.input_tokens = max(self.input_tokens, 1)
        self.output_tokens = max(self.output_tokens, 1)
        self.to_prefill = self.input_tokens

    @property
    def done(self) -> bool:
        """Everything is written."""
        return self.written >= self.output_tokens


class Instance:
    """The server's queue and batch. Holds exactly the jobs that were added and neither done nor cancelled."""

    def __init__(self, hardware: Hardware) -> None:
        self.hardware = hardware
        self.slowdown = 1.0
        """Factor on the time of iterations begun from now on, for faults."""
        self.preemptions = 0
        self.prefix_cache = PrefixCache()
        self.waiting: deque[Job] = deque()
        self.running: list[Job] = []
        self.cached_tokens = 0
        """Of all that run: nothing else holds any."""
        self._steps = 0
        self._step_s = 0.0
        self._growth_s = 0.0
        self._decoding: list[Job] = []
        self._prefilling: list[Job] = []

    def __len__(self) -> int:
        return len(self.running) + len(self.waiting)

    @property
    def busy(self) -> bool:
        """An iteration is under way."""
        return self._steps > 0

    def add(self, job: Job) -> None:
        """Put a request at the end of the queue.

        Raises:
            ValueError: it could never fit into the KV cache.
        """
        if job.input_tokens + job.output_tokens > self.hardware.kv_tokens:
            raise ValueError(
                f"a request of {job.input_tokens} + {job.output_tokens} tokens exceeds the KV cache "
                f"of {self.hardware.kv_tokens} tokens"
            )
        self.waiting.append(job)

    def cancel(self, job: Job) -> None:
        """Take a request out at once, wherever it stands; unknown ones are passed over."""
        if job in self.waiting:
            self.waiting.remove(job)
        elif job in self.running:
            self._leave(job)
        job.gone = True

    def begin(self, max_steps: int = 1) -> float | None:
        """Start an iteration and return how long it takes (s), or None when there is nothing to do.

        While nothing is to be prefilled, up to `max_steps` decode iterations are taken at once, as many
        as change nothing in the batch: less work for the driver, the same times. See `cut`.
        """
        if self._steps:
            raise RuntimeError("an iteration is under way")
        self._make_room()
        self.prefix_cache.shrink(self.hardware.kv_tokens - self.cached_tokens)
        decoding = [job for job in self.running if not job.to_prefill]
        budget = self.hardware.max_batched_tokens - len(decoding)
        prefilling = self._prefill(budget)
        if not decoding and not prefilling:
            return None
        batch = len(decoding)
        steps = 1
        if prefilling:
            batch += sum([job.chunk for job in prefilling])
        elif max_steps > 1:
            free = self.hardware.kv_tokens - self.cached_tokens
            left = min([job.output_tokens - job.written for job in decoding])
            steps = max(1, min(max_steps, left, free // batch))
        self._decoding, self._prefilling, self._steps = decoding, prefilling, steps
        self._step_s = self.hardware.iteration_s(batch, self.cached_tokens) * self.slowdown
        self._growth_s = self.hardware.attention_s_per_context_token * len(decoding) * self.slowdown
        return self.after(steps)

    def cut(self, elapsed_s: float) -> float:
        """Shorten what is under way to the first end of an iteration at or after `elapsed_s`; its time.

        For a driver that has begun several iterations at once when a request arrives in between.
        """
        low, high = 1, self._steps
        while low < high:
            middle = (low + high) // 2
            if self.after(middle) >= elapsed_s:
                high = middle
            else:
                low = middle + 1
        self._steps = low
        return self.after(low)

    @property
    def last_step_s(self) -> float:
        """How long the last iteration of what is under way takes."""
        return self.after(self._steps) - self.after(self._steps - 1)

    def steps_done(self, job: Job, elapsed_s: float) -> int:
        """Tokens that the job was given by what is under way, so long after it was begun."""
        if job not in self._decoding or elapsed_s <= 0.0:
            return 0
        done = bisect_right(range(1, self._steps + 1), elapsed_s, key=self.after)
        return min(done, self._steps)

    def finish(self) -> list[tuple[Job, int]]:
        """End what is under way: the jobs that wrote, with how many tokens each; done ones have left."""
        steps = self._steps
        wrote, done = [], []
        for job in self._decoding:
            if not job.gone:
                job.cached += steps
                job.written += steps
                wrote.append((job, steps))
                if job.written >= job.output_tokens:
                    done.append(job)
        self.cached_tokens += steps * len(wrote)
        for job in self._prefilling:
            if job.gone:
                continue
            job.to_prefill -= job.chunk
            job.chunk = 0
            if not job.to_prefill:
                job.written += 1
                wrote.append((job, 1))
                self.prefix_cache.keep(job.prefix)
                if job.done:
                    done.append(job)
        for job in done:
            self._leave(job)
            self.prefix_cache.keep(job.leaves)
        self._steps, self._decoding, self._prefilling = 0, [], []
        return wrote

    def after(self, steps: int) -> float:
        """Seconds from the beginning of what is under way until so many of its steps are done."""
        return steps * self._step_s + self._growth_s * steps * (steps - 1) / 2.0

    def _make_room(self) -> None:
        """Preempt the latest sequences until every decoding one can cache its next token."""
        free = self.hardware.kv_tokens - self.cached_tokens
        # Counting costs time; a cache that is not nearly full has room for everybody.
        while free < len(self.running):
            need = sum(1 for job in self.running if not job.to_prefill)
            if free >= need or len(self.running) == 1:
                return
            job = self.running[-1]
            self._leave(job)
            # What it wrote is read again with its prompt, then it goes on from there.
            job.to_prefill = job.input_tokens + job.written
            self.waiting.appendleft(job)
            self.preemptions += 1
            free = self.hardware.kv_tokens - self.cached_tokens

    def _prefill(self, budget: int) -> list[Job]:
        chosen = []
        for job in [job for job in self.running if job.to_prefill]:
            if budget > 0:
                job.chunk = min(job.to_prefill, budget)
                budget -= job.chunk
                chosen.append(job)
        while self.waiting and budget > 0 and len(self.running) < self.hardware.max_num_seqs:
            job = self.waiting[0]
            if self.cached_tokens + job.to_prefill > self.hardware.kv_tokens - len(self.running):
                break
            self.waiting.popleft()
            self.running.append(job)
            job.cached = job.to_prefill
            self.cached_tokens += job.cached
            if job.prefix and self.hardware.prefix_cache:
                # At least one token is computed: the first token of the answer comes from it.
                held = self.prefix_cache.held(job.prefix) * BLOCK_TOKENS
                job.found = min(held, job.input_tokens - 1)
                job.to_prefill -= job.found
            job.chunk = min(job.to_prefill, budget)
            budget -= job.chunk
            chosen.append(job)
        return chosen

    def _leave(self, job: Job) -> None:
        self.running.remove(job)
        self.cached_tokens -= job.cached
        job.cached = 0
