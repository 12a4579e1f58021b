"""Loops compiled by numba, or read from where it keeps what it has compiled before.

That takes seconds the first time and half a second later, and memory; so it is done where numba is installed
(`pip install rb_litellm[fast]`), in a thread, when a worker begins. `NUMBA_DISABLE_JIT=1` leaves it out.

Loading stops an event loop for stretches: numba and LLVM hold Python's global lock, once for a tenth of a
second, and Python itself for five milliseconds at a time (see SWITCH_S). So a worker that can waits before it
serves (`rb_litellm.start_worker`).

numba keeps compiled loops in `NUMBA_CACHE_DIR`, else beside their source or in the user's cache folder. Where
nothing can be written, it compiles nothing, and NumPy goes on.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from types import FunctionType
from typing import Any

import numpy as np

from rb_litellm.core.compiled import decision_loops, further_loops, slot_loops
from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.latency.forecast import PARTS
from rb_litellm.predictors.compiled import figure_loops, forest_loops, text_loops
from rb_litellm.predictors.reading.lexicon import WIDTH
from rb_litellm.predictors.reading.pieces import BITS
from rb_litellm.predictors.reading.structure import STRUCTURE

_TOLERANCE = 1e-5
SWITCH_S = 0.0005
"""While loops load, a thread that wants Python's global lock is given it after so long, not after 0.005 s."""

UNCOMPILED = Loops(
    text_loops.read_texts,
    text_loops.count_pieces,
    forest_loops.evaluate_trees,
    figure_loops.describe,
    figure_loops.tell,
    decision_loops.load_parts,
    decision_loops.forecast_times,
    decision_loops.worth_of,
    decision_loops.best_of,
    decision_loops.place_several,
    further_loops.sample_figures,
    further_loops.pair_figures,
    slot_loops.weigh_slots,
)
"""The same in plain Python, thousands of times slower: what the compiled ones are tested beside."""


def available() -> bool:
    """Whether numba is installed and may compile."""
    return os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0") and find_spec("numba") is not None


class Ended(Exception):
    """The process ends before all loops are there."""


def load(ended: Callable[[], bool] = lambda: False) -> Loops:
    """The loops, compiled. Takes seconds the first time; `ended` is asked before each loop whether to stop.

    Raises:
        Ended: `ended` says so.
        ImportError: numba is missing, switched off, or does not fit what is installed beside it.
        RuntimeError: there is no folder to keep what is compiled, or what was kept is not these loops.
    """
    if not available():
        raise ImportError("numba is not installed, or NUMBA_DISABLE_JIT is set")
    import numba
    from numba import types

    def array(of: Any, dimensions: int, readonly: bool = False) -> Any:
        return types.Array(of, dimensions, "C", readonly=readonly)

    def compiled(loop: Any, *arguments: Any, result: Any = types.void, calling: Sequence[Any] = ()) -> Any:
        if ended():
            raise Ended
        if calling:
            # Loops call compiled loops, under the names that these have in their source.
            names = {its.py_func.__name__: its for its in calling}
            loop = FunctionType(loop.__code__, {**loop.__globals__, **names}, loop.__name__)
        # No `nogil`, see `in_use`; no `parallel`, which starts threads.
        return numba.njit(result(*arguments), cache=True)(loop)

    text = array(types.uint8, 1, readonly=True)
    floats, table = array(types.float32, 1), array(types.float32, 2)
    numbers, rows = array(types.int64, 1), array(types.int64, 2)
    unsigned, grid = array(types.uint32, 1), array(types.uint32, 2)
    figures, matrix = array(types.float64, 1), array(types.float64, 2)
    number, whole = types.float64, types.int64
    given, cube = array(types.float64, 1, readonly=True), array(types.float64, 3)
    load_parts = compiled(decision_loops.load_parts, *[figures] * 12, whole, whole, matrix)
    forecast_times = compiled(decision_loops.forecast_times, matrix, figures, given, matrix)
    best_of = compiled(decision_loops.best_of, figures, figures, figures, number, numbers, result=whole)
    told, counts, mask = (array(of, 1, readonly=True) for of in (number, whole, types.boolean))
    best_of_models = compiled(further_loops.best_of_models, told, mask, counts, numbers)
    take_first = compiled(further_loops.take_first, numbers, told, told, result=whole)
    loops = Loops(
        compiled(text_loops.read_texts, text, numbers, floats, table, rows, table, floats),
        compiled(text_loops.count_pieces, text, numbers, unsigned, numbers, rows, result=types.int64),
        compiled(forest_loops.evaluate_trees, table, unsigned, grid, table, table, table),
        compiled(figure_loops.describe, rows, matrix, matrix, numbers, floats, floats, *[table] * 3),
        compiled(
            figure_loops.tell,
            table,
            floats,
            figures,
            matrix,
            matrix,
            figures,
            figures,
            matrix,
            matrix,
            number,
            number,
            matrix,
            result=types.boolean,
        ),
        load_parts,
        forecast_times,
        compiled(decision_loops.worth_of, figures, figures, number, number, number, figures),
        best_of,
        compiled(
            decision_loops.place_several,
            *[figures] * 12,
            matrix,
            numbers,
            numbers,
            figures,
            number,
            number,
            matrix,
            matrix,
            figures,
            matrix,
            matrix,
            array(types.boolean, 2),
            cube,
            matrix,
            cube,
            matrix,
            numbers,
            numbers,
            numbers,
            whole,
            types.boolean,
            result=whole,
            calling=(load_parts, forecast_times, best_of),
        ),
        compiled(
            further_loops.sample_figures,
            *[told] * 13,
            mask,
            counts,
            *[told] * 5,
            counts,
            told,
            *[number] * 7,
            numbers,
            whole,
            numbers,
            numbers,
            matrix,
            result=whole,
            calling=(best_of_models, take_first, load_parts, forecast_times),
        ),
        compiled(
            further_loops.pair_figures,
            told,
            mask,
            counts,
            *[told] * 5,
            *[number] * 8,
            numbers,
            whole,
            numbers,
            numbers,
            matrix,
            result=whole,
            calling=(best_of_models, take_first),
        ),
        compiled(
            slot_loops.weigh_slots,
            *[told] * 3,
            number,
            number,
            types.boolean,
            told,
            number,
            *[figures] * 4,
            result=whole,
        ),
    )
    check(loops)
    return loops


def check(loops: Loops) -> None:
    """Compare loops with their source: what numba has kept may be of another version of this package.

    Raises:
        RuntimeError: they differ.
    """
    for name, arguments in _trials():
        expected, found = [[*map(_own, arguments)] for _ in range(2)]
        with np.errstate(over="ignore"):
            told = getattr(UNCOMPILED, name)(*expected), getattr(loops, name)(*found)
        if told[0] != told[1] or not all(map(_agree, expected, found)):
            raise RuntimeError(f"compiled loop {name!r} differs from its source; empty numba's cache")


def _own(argument: Any) -> Any:
    if not isinstance(argument, np.ndarray):
        return argument
    copied = np.copy(argument)
    copied.flags.writeable = argument.flags.writeable
    return copied


def _agree(expected: Any, found: Any) -> bool:
    return bool(np.allclose(expected, found, rtol=_TOLERANCE, atol=_TOLERANCE))


def _trials() -> Iterator[tuple[str, list[Any]]]:
    """Names of loops, and arguments that lead through most of their lines."""
    text = b"Don't ask WHY 12345 + x_1 isn't\t  there...\n\n  (e.g. \xc3\xa9)\n"
    data = np.frombuffer(text, dtype=np.uint8)
    ends = np.array([20, len(text) - 3])
    draw = np.random.default_rng(0)
    idf = draw.random(WIDTH, dtype=np.float32)
    yield (
        "read_texts",
        [data, ends, idf, idf[:, None], np.zeros((2, 256), np.int64), *_zeros((2, 1), (2,))],
    )
    vocabulary, counts = np.zeros(1 << BITS, np.uint32), np.zeros(2, np.int64)
    yield "count_pieces", [data, ends, vocabulary, counts, np.zeros((60, 5), np.int64)]
    rows, thresholds, leaves = (draw.random(shape, dtype=np.float32) for shape in ((3, 4), (9, 7), (9, 8)))
    features = draw.integers(0, 4, (9, 7)).astype(np.uint32)
    outputs = np.repeat(np.arange(3, dtype=np.uint32), 3)
    yield "describe", [
        draw.integers(0, 9, (2, 256)), draw.random((2, 2)) * 99.0, draw.random((2, 16)), np.array([-1, 3]),
        *(draw.random(shape, dtype=np.float32) + np.float32(0.5) for shape in (
            STRUCTURE, STRUCTURE, (STRUCTURE, 2), (2, 2),
        )),
        *_zeros((2, STRUCTURE + 2)),
    ]  # fmt: skip
    yield "tell", [
        draw.random((2, 7), dtype=np.float32), draw.random(2, dtype=np.float32),
        *(draw.random(shape) for shape in (3, (4, 4), (3, 4), 4, 4, (2, 2), (2, 2))), 0.5, 0.4,
        np.zeros((2, 4)),
    ]  # fmt: skip
    several = [draw.integers(0, 4, 9).astype(np.float64) for _ in range(12)]
    several[2] /= 4.0  # The share of prefill is one.
    yield "load_parts", [*several, 0, 9, np.zeros((PARTS, 9))]
    yield "forecast_times", [draw.random((PARTS, 9)), several[0], several[1], np.zeros((5, 9))]
    yield "worth_of", [several[0], several[1], 0.3, 10.0, 1e-3, np.zeros(9)]
    yield "best_of", [several[0], several[1], several[2], 1e-9, np.zeros(9, np.int64)]
    yield "place_several", [
        *several, draw.random((PARTS, 9)), np.arange(9), np.arange(9) % 7, draw.random(9),
        5.0, 1e-9, np.array([[0.3, 1000.0, 1e-3], [0.2, 10.0, 1e-6]]), draw.random((2, 9)), draw.random(4),
        draw.random((4, 9)) * 99.0, draw.random((4, 9)), draw.random((4, 9)) > 0.2, draw.random((2, 4, 9)),
        draw.random((4, 3)), np.zeros((4, 9, 9)), np.zeros((4, 2)), np.full(4, -1), np.zeros(9, np.int64),
        np.zeros(1, np.int64), 4, False,
    ]  # fmt: skip
    models, allowed = draw.integers(0, 4, 9), draw.random(9) > 0.2
    yield "sample_figures", [
        *several, draw.random(9), allowed, models, draw.random(9), *(draw.random(9) * 99.0 for _ in range(4)),
        np.array([2, 3]), np.array([0.0, 1.0, 1.2, 1.3]), 0.7, 0.6, 200.0, 0.1, 0.01, 50.0, 60.0,
        np.zeros(4, np.int64), 3, *np.zeros((2, 6), np.int64), np.zeros((10, 6)),
    ]  # fmt: skip
    yield "pair_figures", [
        draw.random(9), allowed, models, draw.random(9), *(draw.random(9) * 99.0 for _ in range(4)),
        0.9, 0.2, 0.3, 1.0, 0.1, 0.01, 60.0, 50.0,
        np.zeros(4, np.int64), 3, *np.zeros((2, 9), np.int64), np.zeros((8, 9)),
    ]  # fmt: skip
    for in_one_piece in (False, True):
        yield "weigh_slots", [
            np.arange(1.0, 9.0), np.array([0.0, 0.5, 2.0, np.inf]), np.full(8, 5.0), 0.95, 2.5, in_one_piece,
            draw.random(8) * 3.0, 0.2, np.zeros(8), -draw.random(8), draw.random(8), -draw.random(8),
        ]  # fmt: skip
    yield "evaluate_trees", [rows, outputs, features, thresholds, leaves, *_zeros((3, 3))]


def _zeros(*shapes: tuple[int, ...]) -> list[Any]:
    return [np.zeros(shape, dtype=np.float32) for shape in shapes]


class Loading:
    """Loads the loops of a process, once."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        """`failed` is told of what keeps loops from being used, at most twice."""
        self._failed = failed
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def ensure_started(self) -> None:
        """Load in a thread of its own, where numba is installed. Cheap."""
        if self._thread is None and available():
            self._thread = threading.Thread(target=self._load, name="routebalance-compiled", daemon=True)
            self._thread.start()
            # Python stops such threads wherever they are when it ends. One that compiles keeps LLVM's lock,
            # and the process would wait for that lock for good.
            atexit.register(self.end)

    def wait(self, seconds: float | None = None) -> None:
        """Until that has ended, or so long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def end(self) -> None:
        """Load no further loop, and wait for the present one."""
        self._ended.set()
        self.wait()

    def _load(self) -> None:
        before = sys.getswitchinterval()
        sys.setswitchinterval(min(SWITCH_S, before))
        try:
            IN_USE.use(load(self._ended.is_set), self._failed)
        except Ended:
            return
        except Exception as error:  # noqa: BLE001  NumPy goes on
            self._failed(error)
        finally:
            sys.setswitchinterval(before)
