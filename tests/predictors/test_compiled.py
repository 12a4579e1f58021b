"""Compiled loops give what NumPy gives, and nothing that befalls them reaches a request.

They are plain Python: without numba they are tested uncompiled.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.compiled.in_use import IN_USE, InUse, Loops
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.compiled import loading
from rb_litellm.predictors.default.artifact import packaged
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.reading import tokens
from rb_litellm.predictors.reading.encoder import Encoder
from rb_litellm.predictors.reading.lexicon import WIDTH
from rb_litellm.predictors.reading.pieces import Vocabulary
from rb_litellm.predictors.reading.structure import STRUCTURE
from rb_litellm.predictors.trained.blend import Blend
from rb_litellm.predictors.trained.forest import Forest

AWKWARD = " \n\r\tab'sSlLvert1234.,(--\x1c\x0b\0  "
"""Characters at which the pattern of cl100k_base decides."""
ROUNDING = 2e-6
"""Of sums of 32-bit figures that are about 1, taken in another order."""

prompt_texts = st.lists(st.text(max_size=80) | st.text(AWKWARD, max_size=80), min_size=1, max_size=6)
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")


@lru_cache(maxsize=1)
def loops() -> Loops:
    return loading.load() if loading.available() else loading.UNCOMPILED


@lru_cache(maxsize=1)
def encoder() -> Encoder:
    draw = np.random.default_rng(0)
    idf = draw.uniform(-1.0, 3.0, WIDTH).clip(0.0).astype(np.float32)
    table = (0.1 * draw.normal(size=(WIDTH, 5))).astype(np.float32)
    ones = np.ones(STRUCTURE, dtype=np.float32)
    return Encoder(idf, 0.0 * ones, ones, table, np.ones((STRUCTURE, 5), dtype=np.float32))


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    encoding = tokens.cl100k_base()
    assert encoding is not None
    return Vocabulary(encoding)


@pytest.fixture
def in_use() -> Iterator[list[Exception]]:
    """The loops are in use; what they failed with."""
    failures: list[Exception] = []
    IN_USE.use(loops(), failures.append)
    yield failures
    IN_USE.loops = None


@settings(deadline=None)
@given(prompt_texts)
def test_texts_are_read_as_by_numpy(given: list[str]) -> None:
    contents = [text.encode("utf-8", "replace") for text in given]
    counted, read, familiarity = encoder().read_by_loops(loops(), contents)
    expected = encoder().read_by_numpy(contents)
    assert np.array_equal(counted, expected[0])
    assert np.abs(read - expected[1]).max() < ROUNDING
    assert np.array_equal(familiarity, expected[2])


@settings(deadline=None)
@given(prompt_texts)
def test_a_text_is_read_the_same_whatever_stands_beside_it(given: list[str]) -> None:
    contents = [text.encode("utf-8", "replace") for text in given]
    together = encoder().read_by_loops(loops(), contents)
    for row, content in enumerate(contents):
        for figures, alone in zip(together, encoder().read_by_loops(loops(), [content]), strict=True):
            assert np.array_equal(figures[row], alone[0])


@settings(deadline=None)
@given(prompt_texts, st.integers(0, 3), st.booleans())
def test_features_are_those_of_numpy(texts: list[str], many: int, json_output: bool) -> None:
    prompts = [
        Prompt(text, 99 * many, 7 * many, many, many, many, 50 * many or None, json_output) for text in texts
    ]
    contents = [text.encode("utf-8", "replace") for text in texts]
    expected, familiarity = encoder().encode_by_numpy(prompts, texts, contents)
    found, as_familiar = encoder().encode_by_loops(loops(), prompts, texts, contents)
    # As many sums of 32-bit figures that reach 4 / sqrt(STRUCTURE).
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-4)
    assert np.array_equal(as_familiar, familiarity)


@settings(deadline=None)
@given(
    rows=st.integers(1, 5),
    kinds=st.integers(0, 4),
    models=st.integers(1, 4),
    lengths=st.integers(0, 4),
    recognised=st.sampled_from([0.0, 0.3, 0.9]),
    seed=st.integers(0, 99),
)
def test_blends_are_those_of_numpy(
    rows: int, kinds: int, models: int, lengths: int, recognised: float, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    outputs = models + lengths
    blend = Blend(
        qualities=models,
        offset=draw.normal(size=outputs),
        scale=draw.random(outputs),
        log_prior=draw.normal(size=kinds),
        kind_deviation=draw.normal(size=(kinds, outputs)),
        own_common=0.8,
        own_differences=0.4,
        own_lengths=0.6,
        worth=draw.random(outputs) * draw.integers(0, 2, outputs),
        familiar=0.5,
        recognised=recognised,
    )
    raw = draw.normal(size=(rows, kinds + outputs)).astype(np.float32)
    familiarity = draw.random(rows, dtype=np.float32)
    found = blend.told_by_loops(loops(), raw, familiarity)
    assert found is not None
    assert np.allclose(found, blend.outputs(raw.astype(np.float64), familiarity), rtol=1e-9, atol=1e-9)
    raw[-1, -1] = np.nan
    assert blend.told_by_loops(loops(), raw, familiarity) is None


@settings(deadline=None)
@given(prompt_texts)
def test_tokens_are_those_that_numpy_counts(given: list[str]) -> None:
    found = vocabulary()._look_up(loops(), given)
    assert found is not None
    assert vocabulary()._asked_about(given, *found) == vocabulary()._count_all(given)


def test_many_unknown_pieces_are_left_to_numpy() -> None:
    draw = np.random.default_rng(1)
    words = " ".join("".join(chr(97 + at) for at in draw.integers(0, 26, 9)) for _ in range(200))
    assert vocabulary()._look_up(loops(), [words]) is None


@settings(deadline=None)
@given(
    rows=st.integers(1, 5),
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    depth=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_trees_give_the_figures_of_numpy(rows: int, counts: list[int], depth: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    trees, nodes, features = sum(counts), (1 << depth) - 1, 4
    asked = 12
    forest = Forest.of_arrays(
        {
            "base": draw.random(len(counts), dtype=np.float32),
            "runs": np.cumsum([0, *counts[:-1]]),
            "leaves": draw.random((trees, nodes + 1), dtype=np.float32),
            "feature": draw.integers(0, features, asked),
            "threshold": draw.integers(0, 3, asked).astype(np.float32),
            "question": draw.integers(0, asked, nodes * trees),
        }
    )
    # Whole numbers, so that many lie on a threshold.
    given = draw.integers(0, 3, (rows, features)).astype(np.float32)
    assert np.abs(forest.by_loops(loops(), given) - forest.by_numpy(given)).max() < ROUNDING


def test_predictions_are_those_of_numpy(in_use: list[Exception]) -> None:
    texts = ["Why is the sky blue?", "def f(x):\n    return x\n", "x" * 50, "", "Résumé: 你好"]
    prompts = [Prompt(text, count) for text, count in zip(texts, tokens.count_tokens(texts), strict=True)]
    models = [ModelInfo(name, name) for name in ("qwen2.5-3b", "qwen2.5-72b")]
    found = packaged().predict(prompts, models)
    assert IN_USE.loops is not None
    IN_USE.loops = None
    expected = packaged().predict(prompts, models)
    assert np.allclose(found.quality, expected.quality, atol=1e-5)
    assert np.allclose(found.output_tokens, expected.output_tokens, rtol=1e-5)
    assert tokens.count_tokens(texts) == [prompt.input_tokens for prompt in prompts]
    assert in_use == []


def test_a_loop_that_fails_is_not_used_again_and_numpy_answers() -> None:
    failures: list[Exception] = []
    used = InUse()

    def broken(*_: Any) -> None:
        raise TypeError("no matching definition")

    used.use(replace(loading.UNCOMPILED, read_texts=broken), failures.append)
    calls = [used.either(lambda loops: loops.read_texts() or "loop", lambda: "numpy") for _ in range(3)]
    assert calls == ["numpy"] * 3
    assert [str(error) for error in failures] == ["no matching definition"]


def test_without_numba_nothing_is_loaded_and_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    before = threading.active_count()
    loading.Loading(lambda error: pytest.fail(str(error))).ensure_started()
    assert threading.active_count() == before


def test_jit_that_is_switched_off_leaves_numba_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: object())
    assert loading.available()
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert not loading.available()


def test_numba_that_does_not_work_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "numba", None)
    failures: list[Exception] = []
    starting = loading.Loading(failures.append)
    for _ in range(3):
        starting.ensure_started()
    starting.wait()
    assert [type(error) for error in failures] == [ModuleNotFoundError]
    assert IN_USE.loops is None


def test_while_loops_load_other_threads_wait_less_and_then_as_long_as_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, during = sys.getswitchinterval(), []

    def load(ended: Callable[[], bool]) -> Loops:
        during.append(sys.getswitchinterval())
        raise loading.Ended

    monkeypatch.setattr(loading, "available", lambda: True)
    monkeypatch.setattr(loading, "load", load)
    its = loading.Loading(lambda error: pytest.fail(str(error)))
    its.ensure_started()
    its.wait(10.0)
    assert during == [pytest.approx(loading.SWITCH_S)]
    assert sys.getswitchinterval() == before


def test_a_process_that_ends_waits_for_one_loop_and_tells_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    begun = threading.Event()

    def load(ended: Callable[[], bool]) -> Loops:
        begun.set()
        asked.wait(10.0)
        if ended():
            raise loading.Ended
        return loading.UNCOMPILED

    monkeypatch.setattr(loading, "available", lambda: True)
    monkeypatch.setattr(loading, "load", load)
    its = loading.Loading(lambda error: pytest.fail(str(error)))
    its.ensure_started()
    assert begun.wait(10.0)
    ending = threading.Thread(target=its.end)
    ending.start()
    asked.set()
    ending.join()
    assert IN_USE.loops is None


@pytest.mark.parametrize("name", [field.name for field in fields(Loops)])
def test_loops_of_another_version_are_noticed(name: str) -> None:
    with pytest.raises(RuntimeError, match=f"'{name}' differs"):
        loading.check(replace(loading.UNCOMPILED, **{name: lambda *_: None}))
    loading.check(loading.UNCOMPILED)
