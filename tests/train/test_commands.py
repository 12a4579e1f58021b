"""`routebalance train` and `evaluate`, as a user and as other programs call them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from rb_litellm.cli import main
from rb_litellm.core.types import Prompt
from rb_litellm.predictors.reading.tokens import estimate_tokens
from rb_litellm.predictors.trained.model import Predictor, PredictorError
from tests.train.conftest import answers

Write = Callable[..., Path]
MODEL_FIELDS = {
    "quality_r2",
    "quality_mae",
    "quality_mae_constant",
    "quality_ece",
    "length_mae",
    "length_mae_constant",
    "length_coverage_80",
}
ROUTING_FIELDS = {
    "best_single",
    "best_single_quality",
    "argmax_quality",
    "oracle_quality",
    "cost_ratio_at_best_single_quality",
    "ci95",
}


def run(*args: object) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def document(*args: object) -> dict[str, Any]:
    result = run(*args)
    assert result.exit_code == 0, result.output
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("trained")
    data = folder / "answers.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in answers()))
    return folder / "model", document("train", "--data", data, "--out", folder / "model", "--json", "--quiet")


def test_train_says_what_it_made(trained: tuple[Path, dict[str, Any]]) -> None:
    out, said = trained
    assert said["out"] == str(out)
    assert (said["rows"], said["prompts"], said["models"]) == (240, 120, ["large", "small"])
    assert said["seconds"] > 0
    assert Predictor.load(out).version == said["version"]


def test_train_says_that_nothing_was_learned_of_quality(write_rows: Write, tmp_path: Path) -> None:
    """A column of another name, `score` for example, would go unnoticed."""
    ungraded = [{**row, "quality": None, "score": row["quality"]} for row in answers(60)]
    result = run("train", "--data", write_rows(ungraded), "--out", tmp_path / "model")
    assert result.exit_code == 0, result.output
    assert "no row has a `quality`: lengths of answers are learned, their quality is not" in result.stderr


def test_train_prints_what_it_reached_on_prompts_it_had_not_seen(write_rows: Write, tmp_path: Path) -> None:
    result = run("train", "--data", write_rows(answers(60)), "--out", tmp_path / "model", "--quiet")
    assert result.exit_code == 0, result.output
    assert "on prompts it had not seen: quality 0." in result.stdout
    assert "by large alone (gain +0." in result.stdout
    assert "within its 80% interval" in result.stdout


def test_the_model_card_says_what_it_was_trained_on_and_how_well_it_does(
    trained: tuple[Path, dict[str, Any]],
) -> None:
    card = json.loads((trained[0] / "card.json").read_text())
    assert len(card["data_sha256"]) == 64
    assert (card["rows"], card["prompts"]) == (240, 120)
    assert card["versions"]["xgboost"]
    assert card["models"]["small"]["quality_r2"] > 0.5
    assert card["routing"]["ci95"]["argmax_quality"]


def test_the_predictor_has_learned_what_the_data_tell(trained: tuple[Path, dict[str, Any]]) -> None:
    predictor = Predictor.load(trained[0])
    small = predictor.models.index("small")
    texts = [
        "please tell me about the garden and the birds then a sea 7 " + end
        for end in ("def solve(x): return x", "a short poem")
    ]
    told = predictor.predict([Prompt(text, input_tokens=estimate_tokens(text)) for text in texts])
    assert told.quality[0, small] < 0.4 < 0.7 < told.quality[1, small]
    assert told.output_tokens[0, small] > 2 * told.output_tokens[1, small]


def test_evaluate_prints_the_fields_that_programs_read(
    trained: tuple[Path, dict[str, Any]], write_rows: Write, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"small": 0.1, "large": 0.9}))
    test = write_rows(answers(60, seed=1))
    report = document("evaluate", "--predictor", trained[0], "--data", test, "--prices", prices, "--json")
    assert set(report["models"]) == {"small", "large"}
    assert report["models"]["small"].keys() >= MODEL_FIELDS
    routing = report["routing"]
    assert routing.keys() >= ROUTING_FIELDS
    assert routing["best_single"] == "large"
    assert routing["argmax_quality"] > routing["best_single_quality"] + 0.05
    assert routing["oracle_quality"] >= routing["argmax_quality"]
    assert routing["cost_ratio_at_best_single_quality"] < 0.9
    assert len(routing["curve"]) > 50


def test_evaluate_prints_each_two_models_beside_chance(
    trained: tuple[Path, dict[str, Any]], write_rows: Write
) -> None:
    test = write_rows(answers(80, seed=1))
    report = document("evaluate", "--predictor", trained[0], "--data", test, "--json")
    (pair,) = report["pairs"]
    assert pair.keys() >= {"strong", "weak", "apgr", "apgr_random", "cpt_50", "cpt_80", "ci95"}
    assert (pair["strong"], pair["weak"]) == ("large", "small")
    assert pair["apgr"] > 0.7
    assert report["tasks"]["code"]["calibration_error"] < 0.2
    shown = run("evaluate", "--predictor", trained[0], "--data", test)
    assert "CPT 80%" in shown.stdout
    assert "By task" in shown.stdout


def test_evaluate_says_that_prompts_were_trained_on(
    trained: tuple[Path, dict[str, Any]], write_rows: Write
) -> None:
    result = run("evaluate", "--predictor", trained[0], "--data", write_rows(answers(120)), "--json")
    assert json.loads(result.stdout)["trained_on"] == 120
    assert "120 of the 120 prompts were trained on" in result.stderr
    fresh = run("evaluate", "--predictor", trained[0], "--data", write_rows(answers(30, seed=9)), "--json")
    assert json.loads(fresh.stdout)["trained_on"] == 0
    assert fresh.stderr == ""


def test_the_default_predictor_knows_which_public_prompts_it_was_trained_on(
    shared_data: Callable[[str], Path], write_rows: Write
) -> None:
    with gzip.open(shared_data("quality_length_chat.jsonl.gz"), "rt", encoding="utf-8") as lines:
        known = [json.loads(line) for line in islice(lines, 30)]
    fresh = [{**row, "prompt": f"{row['prompt']} Now for cats."} for row in known[:10]]
    result = run("evaluate", "--predictor", "default", "--data", write_rows([*known, *fresh]), "--json")
    assert json.loads(result.stdout)["trained_on"] == 30
    assert "30 of the 40 prompts were trained on" in result.stderr


def test_the_old_name_of_the_option_is_taken_and_says_so_once(
    trained: tuple[Path, dict[str, Any]], write_rows: Write
) -> None:
    result = run("evaluate", "--model", trained[0], "--data", write_rows(answers(30, seed=1)), "--json")
    assert result.exit_code == 0
    assert result.stderr.count("--model is now called --predictor") == 1
    both = run("evaluate", "--model", trained[0], "--predictor", "none", "--data", write_rows(answers(30)))
    assert both.exit_code == 2


@pytest.mark.parametrize("name", ["default", "none"])
def test_models_that_nothing_was_trained_on_are_judged_by_name(name: str, write_rows: Write) -> None:
    rows = [{**row, "model": f"qwen2.5-{7 if row['model'] == 'small' else 72}b"} for row in answers(60)]
    report = document("evaluate", "--predictor", name, "--data", write_rows(rows), "--json")
    assert set(report["models"]) == {"qwen2.5-7b", "qwen2.5-72b"}
    assert 0.0 < report["pairs"][0]["apgr"] < 1.0


def test_a_predictor_that_is_nowhere_is_named(write_rows: Write) -> None:
    result = run("evaluate", "--predictor", "nowhere", "--data", write_rows(answers(30)))
    assert result.exit_code == 2
    assert "'nowhere' is no folder; allowed are default, none, and a folder of `train`" in result.output


def test_evaluate_prints_null_where_the_data_have_no_label(
    trained: tuple[Path, dict[str, Any]], write_rows: Write
) -> None:
    test = write_rows([{**row, "output_tokens": None} for row in answers(30, seed=1)])
    report = document("evaluate", "--predictor", trained[0], "--data", test, "--json")
    assert report["models"]["small"]["length_mae"] is None
    assert report["routing"]["cost_ratio_at_best_single_quality"] is None


def test_the_same_data_and_seed_give_the_same_predictor(write_rows: Write, tmp_path: Path) -> None:
    data = write_rows(answers(60))
    versions = [
        document("train", "--data", data, "--out", tmp_path / name, "--seed", 3, "--json")["version"]
        for name in ("one", "two")
    ]
    files = [(tmp_path / name / "booster.ubj").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    assert versions[0] == versions[1]


def test_without_signal_every_prompt_is_given_the_mean(write_rows: Write, tmp_path: Path) -> None:
    data = write_rows(answers(200, signal=False))
    document("train", "--data", data, "--out", tmp_path / "model", "--json")
    test = write_rows(answers(200, seed=5, signal=False), "test.jsonl")
    report = document("evaluate", "--predictor", tmp_path / "model", "--data", test, "--json")
    small = report["models"]["small"]
    assert small["quality_mae"] <= small["quality_mae_constant"] * 1.02


def test_nothing_is_ever_overwritten(trained: tuple[Path, dict[str, Any]], write_rows: Write) -> None:
    before = {path: path.read_bytes() for path in trained[0].iterdir()}
    result = run("train", "--data", write_rows(answers(30)), "--out", trained[0])
    assert result.exit_code == 1
    assert "exists already" in result.output
    assert before == {path: path.read_bytes() for path in trained[0].iterdir()}


def test_data_that_cannot_be_used_leave_nothing_behind(write_rows: Write, tmp_path: Path) -> None:
    data = write_rows([*answers(30), *[{"prompt": "p", "model": "m", "quality": 7}] * 2])
    result = run("train", "--data", data, "--out", tmp_path / "model")
    assert result.exit_code == 1
    assert "quality is 7" in result.output
    assert [path.name for path in tmp_path.iterdir()] == [data.name]


def test_too_few_prompts_are_refused(write_rows: Write, tmp_path: Path) -> None:
    result = run("train", "--data", write_rows(answers(5)), "--out", tmp_path / "model")
    assert result.exit_code == 1
    assert "5 different prompts; needed are at least" in result.output


def test_an_altered_file_is_not_loaded(write_rows: Write, tmp_path: Path) -> None:
    document("train", "--data", write_rows(answers(30)), "--out", tmp_path / "model", "--json")
    file = tmp_path / "model" / "booster.ubj"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(PredictorError, match=r"booster\.ubj is not what was written"):
        Predictor.load(tmp_path / "model")


@pytest.mark.parametrize(
    "price",
    [
        '{"small": -1, "large": 1}',
        '{"small": 1}',
        "[]",
        "{",
        "[" * 100_000,
        '{"small": 1' + "0" * 400 + ', "large": 1}',
    ],
)
def test_wrong_prices_are_named(
    price: str, trained: tuple[Path, dict[str, Any]], write_rows: Write, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(price)
    result = run(
        "evaluate", "--predictor", trained[0], "--data", write_rows(answers(30)), "--prices", prices, "--json"
    )
    assert result.exit_code == 1
    assert "--prices" in result.output


def test_the_datas_names_may_differ_by_the_provider_and_else_are_told(
    trained: tuple[Path, dict[str, Any]], write_rows: Write
) -> None:
    changed = {"small": "hosted_vllm/small", "large": "big"}
    test = write_rows([{**row, "model": changed[row["model"]]} for row in answers(30, seed=1)])
    report = document("evaluate", "--predictor", trained[0], "--data", test, "--json")
    assert set(report["models"]) == {"small"}
    assert report["left_out"] == ["big"]
    told = run("evaluate", "--predictor", trained[0], "--data", test)
    assert (
        "left out, as the predictor was not taught it: big; --name says what it calls a model" in told.stderr
    )
    report = document("evaluate", "--predictor", trained[0], "--data", test, "--name", "big=large", "--json")
    assert set(report["models"]) == {"small", "large"}
    wrong = run("evaluate", "--predictor", trained[0], "--data", test, "--name", "big=huge")
    assert wrong.exit_code == 1
    assert "--name big=huge: the predictor has no such model; it has large, small" in wrong.output


def test_a_place_below_a_file_is_told_before_anything_is_read(tmp_path: Path, write_rows: Write) -> None:
    data = write_rows([{"nothing": "that is read"}] * 3)
    result = run("train", "--data", data, "--out", data / "below" / "predictor")
    assert result.exit_code == 1
    assert f"{data / 'below' / 'predictor'} cannot be written: {data} is no folder" in result.output


def test_prices_may_begin_with_a_byte_order_mark(
    trained: tuple[Path, dict[str, Any]], write_rows: Write, tmp_path: Path
) -> None:
    (tmp_path / "prices.json").write_text('\ufeff{"small": 1, "large": 3}')
    data = write_rows(answers(30))
    prices = tmp_path / "prices.json"
    assert document("evaluate", "--predictor", trained[0], "--data", data, "--prices", prices, "--json")
