"""The workload: prompts with the answers that each tier would give, and arrival processes.

Quality and length of all tiers are drawn jointly, as one row of graded data: a prompt that is hard for
the small model is hard, or not, for the large one as it was measured. Rows whose prompt falls into the
training part are for predictors and trained routers; simulations draw from the rest.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count
from operator import itemgetter
from pathlib import Path
from random import Random

import numpy as np

from rb_litellm.core.types import FloatArray, Prompt
from rb_litellm.logs.wrong_rows import MAX_NAMED
from rb_litellm.sim.servers.cluster import Cluster
from rb_litellm.sim.workloads.traces import rows_of_trace
from rb_litellm.train.data.dataset import Dataset, read_dataset

_log = logging.getLogger("rb_litellm")

TRAIN_SHARE = 0.6
"""Share of prompts, by the digits of their id, that trained routers may see."""
LENGTH_SCALE = 0.342
"""Factor on the output lengths of AlpacaEval's answers (mean about 470 tokens): brings them to the 160
tokens that the paper's times imply (2.4 s at about 15 ms a token)."""
_SPREAD = 0.6
"""Log-normal spread of lengths that data without lengths are given."""
STAND_INS = (
    (
        "FuseChat-Llama-3.2-1B-Instruct",
        "FuseChat-Llama-3.2-3B-Instruct",
        "FuseChat-Qwen-2.5-7B-Instruct",
        "FuseChat-Gemma-2-9B-Instruct",
    ),
    (
        "mistral-7b-instruct-v0.3",
        "qwen2.5-7b-instruct",
        "gemma-2-9b-it",
        "llama-3.1-nemotron-51b-instruct",
    ),
)
"""Models of the public data sets that stand for the paper's four tiers, small to large. Of the task set's
small models the second weakest stands for 3B: the weakest was tuned for another purpose and solves a
third of what the next one solves, while a 3B model solves most of what a 7B model does."""


@dataclass(frozen=True)
class Corpus:
    """P prompts with what M tiers would answer."""

    prompts: tuple[Prompt, ...]
    ids: tuple[str, ...]
    quality: FloatArray
    """(P, M) in [0, 1]."""
    output_tokens: FloatArray
    """(P, M), at least 1."""
    tasks: tuple[str, ...] = ()
    """Name of each prompt's task, where the data have them; for predictors to learn from."""
    models: tuple[str, ...] = ()
    """(M,) names of the models that gave the answers; empty where they are not the same for all prompts."""

    def __len__(self) -> int:
        return len(self.prompts)

    def fitting(self, cluster: Cluster) -> Corpus:
        """The prompts that each server can hold together with its answer; a warning names the others."""
        room = np.array([tier.hardware.kv_tokens for tier in cluster.tiers])
        tokens = np.array([prompt.input_tokens for prompt in self.prompts])[:, None] + self.output_tokens
        beyond = np.flatnonzero((tokens > room).any(axis=1))
        if len(beyond):
            told = ", ".join(self.ids[row] for row in beyond[:MAX_NAMED])
            _log.warning(
                "%d of %d prompts are left out: with their answers they exceed a server's KV cache (%s%s)",
                len(beyond),
                len(self),
                told,
                ", ..." if len(beyond) > MAX_NAMED else "",
            )
        return self.without(frozenset(self.ids[row] for row in beyond))

    def task(self, row: int) -> str:
        """Name of that prompt's task, empty where the data have none."""
        return self.tasks[row] if self.tasks else ""

    def split(self) -> tuple[Corpus, Corpus]:
        """The training part and the part to simulate with; a prompt is always in the same one."""
        trains = [int(i[:8], 16) / 16**8 < TRAIN_SHARE for i in self.ids]
        return self._where(trains), self._where([not t for t in trains])

    def without(self, ids: frozenset[str]) -> Corpus:
        """The prompts with other ids."""
        return self._where([i not in ids for i in self.ids]) if ids else self

    def _where(self, wanted: Sequence[bool]) -> Corpus:
        rows = np.flatnonzero(wanted)
        return Corpus(
            tuple(self.prompts[i] for i in rows),
            tuple(self.ids[i] for i in rows),
            self.quality[rows],
            self.output_tokens[rows],
            tuple(self.tasks[i] for i in rows) if self.tasks else (),
            self.models,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """One request with its truth, which policies must not look at (the oracle alone may)."""

    number: int
    arrival_s: float
    prompt: Prompt
    quality: FloatArray
    """(M,) by tier."""
    output_tokens: FloatArray
    """(M,) by tier."""
    conversation: int | None = None
    """Requests of one conversation share this number."""
    prefix: tuple[int, ...] = ()
    """Names of the full blocks of the prompt; prompts that begin alike begin with the same names."""
    leaves: tuple[int, ...] = ()
    """Names of the full blocks of prompt and answer together."""
    task: str = ""
    """The kind of prompt, where the data name it; part of the truth as well."""


def read_corpus(paths: Sequence[Path], cluster: Cluster) -> Corpus:
    """Graded data of one or more files as the answers of the cluster's tiers, file after file.

    Each file brings its own models for the tiers, see `corpus`.

    Raises:
        ValueError: a file cannot be read, or lacks models; says which.
    """
    parts = [corpus(read_dataset([path]), cluster) for path in paths]
    return Corpus(
        tuple(prompt for part in parts for prompt in part.prompts),
        tuple(text_id for part in parts for text_id in part.ids),
        np.concatenate([part.quality for part in parts]),
        np.concatenate([part.output_tokens for part in parts]),
        tuple(task for part in parts for task in part.tasks),
        parts[0].models if all(part.models == parts[0].models for part in parts) else (),
    )


def corpus(data: Dataset, cluster: Cluster, models: Sequence[str] | None = None) -> Corpus:
    """Graded data as the answers of the cluster's tiers, in the cluster's order.

    `models` names one model of the data per tier; by default tiers' own model names, or those of
    STAND_INS that the data have. Lengths that the data lack are drawn log-normally around the tier's
    mean, by the prompt's id; lengths that they have are multiplied by LENGTH_SCALE.

    Raises:
        ValueError: models are missing in the data; names them and those that are there.
    """
    models = tuple(models or stand_ins(data, cluster))
    missing = sorted(set(models) - set(data.models))
    if missing or len(models) != len(cluster.tiers):
        raise ValueError(
            f"the data must hold one model for each of {', '.join(t.name for t in cluster.tiers)}; "
            f"asked for {', '.join(models)}; missing {', '.join(missing) or 'none'}; "
            f"there are {', '.join(data.models)}"
        )
    chosen = data.for_models(models)
    rows = np.flatnonzero(np.isfinite(chosen.quality).all(axis=1))
    chosen = chosen.take(rows)
    means = np.array([tier.output_tokens for tier in cluster.tiers])
    tokens = np.where(
        np.isfinite(chosen.output_tokens),
        chosen.output_tokens * LENGTH_SCALE,
        _drawn_lengths(chosen.prompt_ids, means),
    )
    tokens = np.maximum(np.round(tokens), 1.0)
    return Corpus(chosen.prompts, chosen.prompt_ids, chosen.quality, tokens, chosen.tasks, chosen.models)


def requests(
    corpus: Corpus,
    arrivals_s: Iterator[float],
    number: int,
    seed: int,
    lengths: Sequence[tuple[int, int]] = (),
) -> list[Request]:
    """`number` requests at the given times; prompts in shuffled rounds through the corpus.

    `lengths`, (input, output) tokens of each request in order, take the place of the prompts' own: the
    output length is that of the mean tier, and tiers differ as they do on the prompt.
    """
    rows = rounds(len(corpus), number, seed)
    asked = [
        Request(
            n, at, corpus.prompts[row], corpus.quality[row], corpus.output_tokens[row], task=corpus.task(row)
        )
        for n, (at, row) in enumerate(zip(arrivals_s, rows, strict=False))
    ]
    return [_of_length(r, *tokens) for r, tokens in zip(asked, lengths, strict=False)] if lengths else asked


def rounds(size: int, number: int, seed: int) -> list[int]:
    """`number` rows of a corpus of `size`: all of them in random order, again and again."""
    random = Random(f"prompts {seed}")
    order: list[int] = []
    while len(order) < number:
        order.extend(random.sample(range(size), size))
    return order[:number]


def _of_length(request: Request, input_tokens: int, output_tokens: int) -> Request:
    tokens = np.maximum(np.round(request.output_tokens * (output_tokens / request.output_tokens.mean())), 1.0)
    return replace(
        request, prompt=request.prompt._replace(input_tokens=max(input_tokens, 1)), output_tokens=tokens
    )


def arrivals(process: str, rate: float, seed: int) -> Iterator[float]:
    """Arrival times in s, without end (a file: to its end), at `rate` per second on average.

    `poisson`; `gamma:SHAPE` (gaps of that shape: below 1 in bursts); `square:LO,HI` (Poisson at LO and HI
    times the rate, 30 s each); `ramp:LO,HI` (rising evenly from one to the other in 30 s, and back); a file
    of rows with `arrival_s`, stretched to the rate (see `trace`).

    Raises:
        ValueError: the process is none of these.
    """
    random = Random(f"arrivals {process} {seed}")
    if process == "poisson":
        return accumulate(random.expovariate(rate) for _ in count())
    if found := re.fullmatch(r"gamma:(\d*\.?\d+)", process):
        shape = float(found[1])
        if shape > 0.0:
            return accumulate(random.gammavariate(shape, 1.0 / (shape * rate)) for _ in count())
    if found := re.fullmatch(r"(square|ramp):(\d*\.?\d+),(\d*\.?\d+)", process):
        low, high = float(found[2]), float(found[3])
        if low + high > 0.0:
            return _wave(random, rate * low, rate * high, _SHAPES[found[1]])
    if Path(process).is_file():
        return iter(stretched(trace(Path(process))[0], rate))
    raise ValueError(
        f"arrivals are {process!r}; "
        "allowed are poisson, gamma:SHAPE, square:LO,HI, ramp:LO,HI or a file of rows with arrival_s"
    )


_HALF_PERIOD_S = 30.0
_SHAPES: dict[str, Callable[[float], float]] = {
    "square": lambda periods: float(periods % 1.0 >= 0.5),
    "ramp": lambda periods: 1.0 - abs(2.0 * (periods % 1.0) - 1.0),
}
"""Position between the low and the high rate, in [0, 1], after this many periods."""


def _wave(random: Random, low: float, high: float, shape: Callable[[float], float]) -> Iterator[float]:
    # Thinning: candidates at the higher rate, kept with the share of the rate that holds at the time.
    most, now = max(low, high), 0.0
    while True:
        now += random.expovariate(most)
        rate = low + (high - low) * shape(now / (2.0 * _HALF_PERIOD_S))
        if random.random() < rate / most:
            yield now


Trace = tuple[Sequence[float], Sequence[tuple[int, int]]]
"""Arrival times in s, from 0, and (input, output) tokens of each, none where they are not known."""


def trace(path: Path) -> Trace:
    """Arrival times (s, from 0) of a file with `arrival_s`, and (input, output) tokens where it has them.

    Raises:
        ValueError: it cannot be read, has too many wrong rows, or fewer than two different times.
    """
    rows = sorted(rows_of_trace(path), key=itemgetter("arrival_s"))
    if not rows or rows[-1]["arrival_s"] <= rows[0]["arrival_s"]:
        raise ValueError(f"{path} holds fewer than two different times under arrival_s")
    lengths = [(row["input_tokens"], row["output_tokens"]) for row in rows]
    known = all(input_tokens is not None for input_tokens, _ in lengths)
    return [row["arrival_s"] - rows[0]["arrival_s"] for row in rows], lengths if known else ()


def stretched(times: Sequence[float], rate: float) -> list[float]:
    """The arrivals of a trace at another rate."""
    stretch = (len(times) - 1) / rate / times[-1]
    return [at * stretch for at in times]


def stand_ins(data: Dataset, cluster: Cluster) -> Sequence[str]:
    """The models of the data that stand for the tiers: their own names, or the first set that is there."""
    own = [tier.model for tier in cluster.tiers]
    for models in (own, *STAND_INS):
        if set(models) <= set(data.models):
            return models
    return own


def _drawn_lengths(ids: Sequence[str], means: FloatArray) -> FloatArray:
    lengths = np.empty((len(ids), len(means)))
    for row, prompt_id in enumerate(ids):
        normal = np.random.default_rng(int(prompt_id, 16)).standard_normal(len(means) + 1)
        # Half of the spread is the prompt's own and common to all models.
        deviation = _SPREAD * np.sqrt(0.5) * (normal[0] + normal[1:])
        lengths[row] = means * np.exp(deviation - _SPREAD**2 / 2.0)
    return lengths
