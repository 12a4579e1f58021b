"""A predictor's folder that changes serves every selector that uses it, or none and the log says why."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from rb_litellm.bench.real.placeholder_predictor import train_placeholder
from rb_litellm.config import PredictorSettings, SettingsError
from rb_litellm.core.types import Prompt
from rb_litellm.litellm_adapter.shared import predictor_folders as module
from rb_litellm.litellm_adapter.shared.predictor_folders import Predictors
from rb_litellm.predictors.registry import ModelInfo, PredictionSource
from rb_litellm.predictors.trained.model import Predictor

ASKED = [ModelInfo("small", "small"), ModelInfo("large", "large")]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two folders with the same models, and one with another."""
    made = {name: tmp_path_factory.mktemp("trained") / name for name in ("first", "second", "other")}
    train_placeholder(["small", "large"], made["first"])
    train_placeholder(["large", "small"], made["second"])
    train_placeholder(["tiny"], made["other"])
    return made


@pytest.fixture
def folder(trained: dict[str, Path], tmp_path: Path) -> Path:
    return shutil.copytree(trained["first"], tmp_path / "predictor")


@pytest.fixture
def predictors() -> Predictors:
    return Predictors(lambda error: pytest.fail(str(error)))


def put(new: Path, folder: Path) -> None:
    """As `routebalance train` and a rename do it."""
    copy = shutil.copytree(new, folder.with_name("copy"))
    os.rename(folder, folder.with_name(f"old-{len(list(folder.parent.iterdir()))}"))
    os.rename(copy, folder)


def look(predictors: Predictors) -> None:
    """Two looks: the first sees that something changed, the second that it is at rest."""
    predictors.look()
    predictors.look()


def quality(source: PredictionSource) -> np.ndarray:
    return source.predict([Prompt("explain why the server has a queue?")], ASKED).quality


def test_a_replaced_folder_serves_all_selectors(
    predictors: Predictors, folder: Path, trained: dict[str, Path]
) -> None:
    sources = [predictors.source(PredictorSettings(path=str(folder), models=m)) for m in ({}, {"a": "small"})]
    before = quality(sources[0])
    put(trained["second"], folder)
    look(predictors)
    fresh = Predictor.load(trained["second"])
    assert [source.version for source in sources] == [fresh.version] * 2
    assert predictors.versions() == [fresh.version]
    assert np.array_equal(quality(sources[0]), quality(PredictionSource(fresh)))
    assert not np.array_equal(quality(sources[0]), before)
    assert predictors.source(PredictorSettings(path=str(folder))).version == fresh.version


def test_a_decision_names_the_predictor_that_predicted_though_another_comes_meanwhile(
    predictors: Predictors, folder: Path, trained: dict[str, Path]
) -> None:
    source = predictors.source(PredictorSettings(path=str(folder)))
    deciding, version, before = source.as_now(), source.version, quality(source)
    put(trained["second"], folder)
    look(predictors)
    assert source.version != version
    assert deciding.version == version
    assert np.array_equal(quality(deciding), before)


def test_a_corrupt_folder_keeps_the_old_one_and_says_why_once(
    predictors: Predictors, folder: Path, trained: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    source = predictors.source(PredictorSettings(path=str(folder)))
    version, before = source.version, quality(source)
    put(trained["second"], folder)
    booster = folder / "booster.ubj"
    booster.write_bytes(booster.read_bytes()[:-100])
    for _ in range(3):
        look(predictors)
    assert source.version == version
    assert np.array_equal(quality(source), before)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "booster.ubj is not what was written (checksum differs)" in line
    assert f"{version} stays" in line


def test_a_good_one_after_a_corrupt_one_is_taken_over(
    predictors: Predictors, folder: Path, trained: dict[str, Path]
) -> None:
    source = predictors.source(PredictorSettings(path=str(folder)))
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "files": {}}))
    look(predictors)
    put(trained["second"], folder)
    look(predictors)
    assert source.version == Predictor.load(trained["second"]).version


def test_one_that_lacks_a_mapped_model_is_refused_for_all(
    predictors: Predictors, folder: Path, trained: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    mapped = predictors.source(PredictorSettings(path=str(folder), models={"a": "small"}))
    plain = predictors.source(PredictorSettings(path=str(folder)))
    version = plain.version
    put(trained["other"], folder)
    look(predictors)
    assert mapped.version == plain.version == version
    assert "predictor.models.a" in caplog.text


def test_a_folder_that_is_still_being_written_is_waited_for(
    predictors: Predictors, folder: Path, trained: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    source = predictors.source(PredictorSettings(path=str(folder)))
    for file in sorted(trained["second"].iterdir()):
        shutil.copy(file, folder)
        predictors.look()
    assert not caplog.records
    predictors.look()
    assert source.version == Predictor.load(trained["second"]).version


def test_a_folder_that_is_gone_changes_nothing(
    predictors: Predictors, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = predictors.source(PredictorSettings(path=str(folder)))
    version = source.version
    shutil.rmtree(folder)
    look(predictors)
    assert source.version == version
    assert not caplog.records


def test_requests_meanwhile_are_answered_whole_by_the_one_or_the_other(trained: dict[str, Path]) -> None:
    both = [Predictor.load(trained["first"]), Predictor.load(trained["second"])]
    allowed = [quality(PredictionSource(one)) for one in both]
    source = PredictionSource(both[0])
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for one in both:
                source.replace(one)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(200):
            got = quality(source)
            assert any(np.array_equal(got, one) for one in allowed)
    finally:
        over.set()
        thread.join()


def test_the_folder_is_looked_at_without_traffic_and_off_the_loop(
    folder: Path, trained: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.001)
    predictors = Predictors(lambda error: pytest.fail(str(error)))
    source = predictors.source(PredictorSettings(path=str(folder)))
    version, loaded_in = source.version, set()
    replace = source.replace

    def noted(predictor: Predictor) -> None:
        loaded_in.add(threading.current_thread())
        replace(predictor)

    monkeypatch.setattr(source, "replace", noted)

    async def until_replaced() -> None:
        predictors.ensure_started()
        put(trained["second"], folder)
        while source.version == version:  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    asyncio.run(asyncio.wait_for(until_replaced(), 60.0))
    assert threading.main_thread() not in loaded_in


def entry(group: str, model: str, deployment: str) -> dict[str, object]:
    return {"model_name": group, "litellm_params": {"model": model}, "model_info": {"id": deployment}}


@pytest.mark.parametrize("name", ["group", "vllm/qwen", "qwen", "qwen-1"])
def test_a_model_goes_by_any_of_its_names(predictors: Predictors, folder: Path, name: str) -> None:
    settings = PredictorSettings(path=str(folder), models={name: "large"})
    source = predictors.source(settings, [entry("group", "vllm/qwen", "qwen-1")])
    assert source.knows(ModelInfo("group", "vllm/qwen"))


def test_a_name_of_several_models_is_an_error_that_lists_them(predictors: Predictors, folder: Path) -> None:
    entries = [entry("group", "vllm/qwen", "1"), entry("group", "vllm/llama", "2")]
    settings = PredictorSettings(path=str(folder), models={"group": "large"})
    with pytest.raises(SettingsError, match=r"models\.group: may be any of vllm/llama, vllm/qwen"):
        predictors.source(settings, entries)
    twice = PredictorSettings(path=str(folder), models={"1": "large", "qwen": "small"})
    with pytest.raises(SettingsError, match="vllm/qwen is said to be"):
        predictors.source(twice, entries)


def test_a_model_that_the_predictor_knows_twice_is_an_error_at_the_start(
    predictors: Predictors, folder: Path
) -> None:
    settings = PredictorSettings(path=str(folder))
    with pytest.raises(SettingsError, match="by several names: large, small"):
        predictors.source(settings, [entry("small", "vllm/large", "1")])
    predictors.source(
        PredictorSettings(path=str(folder), models={"small": "large"}), [entry("small", "vllm/large", "1")]
    )
