"""The predictor that ships: monotone, sober, small, the same in every process."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rb_litellm.core.types import Prompt
from rb_litellm.predictors.default.abilities import KINDS
from rb_litellm.predictors.default.artifact import PACKAGED, ArtifactError, load, packaged
from rb_litellm.predictors.default.predictor import curve
from rb_litellm.predictors.priors import ModelInfo
from rb_litellm.predictors.registry import PredictionSource

MIB = 1 << 20
WEAK, STRONG = ModelInfo("weak", "llama-3.2-1b-instruct"), ModelInfo("strong", "gpt-4o")
CODE = Prompt("Write a Python function that returns the longest common prefix of a list of strings.", 18)
SUM = Prompt("Tom has 3 boxes of 12 eggs and gives away half of them. How many eggs are left?", 20)
CHAT = Prompt("What should I cook for my sister's birthday? She likes mushrooms.", 14)

shares = st.floats(0.0, 1.0)
abilities = st.floats(-4.0, 4.0)


@given(shares, st.floats(-1.0, 1.0), abilities, abilities, st.floats(-3.0, 3.0))
def test_more_ability_is_never_less_quality(level, gap, one, other, shift):
    figures, asked = np.array([[level, gap]]), np.array([sorted((one, other))])
    worse, better = curve(figures, asked, shift)[0]
    assert 0.0 <= worse <= better <= 1.0


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=400), st.sampled_from([2, 5, 9, 20, 40, 100]))
def test_of_two_sizes_of_an_unknown_family_the_larger_is_never_the_worse(text, size):
    models = [ModelInfo("a", f"house-{size}b"), ModelInfo("b", f"house-{2 * size}b")]
    smaller, larger = packaged().predict([Prompt(text, len(text) // 4)], models).quality[0]
    assert smaller <= larger


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=2_000), st.integers(0, 3), st.integers(0, 200_000))
def test_any_prompt_gets_finite_figures(text, tools, tokens):
    told = packaged().predict([Prompt(text, tokens, tools=tools)], [WEAK, STRONG, ModelInfo("", "")])
    assert np.isfinite(told.quality).all()
    assert np.all((told.quality >= 0.0) & (told.quality <= 1.0))
    assert np.all(np.diff(told.length_quantiles, axis=2) >= 0.0)
    assert np.all(told.length_quantiles > 0.0)


def test_kinds_are_told_apart():
    told = packaged().tell([CODE, SUM, CHAT], [WEAK])
    assert told.kinds == ("code", "mathematics", "chat")
    assert np.all(told.certainty > 0.7)


def test_a_strong_model_is_better_at_everything_and_most_where_it_is_hard_for_the_weak_one():
    quality = packaged().predict([CODE, SUM, CHAT], [WEAK, STRONG]).quality
    assert np.all(quality[:, 1] > quality[:, 0])
    gaps = quality[:, 1] - quality[:, 0]
    assert gaps[1] > gaps[2]


def test_words_that_nobody_has_seen_say_little():
    told = packaged().tell([Prompt("zxqv wwkj qqpz ygxz kjwq", 12)], [WEAK])
    assert told.certainty[0] < 0.6


def test_tools_and_long_texts_are_kinds_of_their_own():
    plain, tools, long = (
        packaged().predict([CHAT, CHAT._replace(tools=3), CHAT._replace(input_tokens=50_000)], [WEAK]).kinds
    )
    assert tools[KINDS.index("tools")] > plain[KINDS.index("tools")] == 0.0
    assert long[KINDS.index("long_context")] > plain[KINDS.index("long_context")] == 0.0


@pytest.mark.parametrize("quality", [0.1, 0.5, 0.9])
def test_an_operators_quality_moves_the_level_and_keeps_the_shape(quality):
    prompts = [
        CODE,
        SUM,
        CHAT,
        Prompt("What is the capital of Peru?", 7),
        Prompt("Prove it for n = 2.", 7),
    ]
    moved = replace(STRONG, quality=quality)
    by_hand = packaged().predict(prompts, [moved]).quality[:, 0]
    assert abs(by_hand.mean() - quality) < 0.2
    other = packaged().predict(prompts, [replace(STRONG, quality=quality - 0.05)]).quality[:, 0]
    assert np.all(other < by_hand)
    assert np.array_equal(np.argsort(other), np.argsort(by_hand))


def test_an_operators_length_is_taken():
    short, long = (
        packaged()
        .predict([CHAT], [replace(WEAK, output_tokens=50.0), replace(WEAK, output_tokens=500.0)])
        .output_tokens[0]
    )
    assert long == pytest.approx(10 * short)


def test_one_prompt_is_told_the_same_alone_and_among_others():
    among = packaged().predict([CODE, SUM, CHAT] * 11, [WEAK, STRONG]).quality[1]
    alone = packaged().predict([SUM], [STRONG, WEAK]).quality[0, ::-1]
    assert among == pytest.approx(alone, abs=1e-5)


def test_the_artifact_is_small_and_holds_no_code():
    files = list(PACKAGED.iterdir())
    assert sum(file.stat().st_size for file in files) <= 3 * MIB
    assert {file.suffix for file in files} <= {".json", ".npz", ".txt"}
    assert {file.name for file in files} >= {"manifest.json", "tables.npz", "card.json"}


def test_the_card_names_sources_and_licences():
    card = json.loads((PACKAGED / "card.json").read_text("utf-8"))
    assert card["rows"] > 100_000
    assert all(licence in json.dumps(card["sources"]) for licence in ("MIT", "Apache-2.0", "CC BY 4.0"))


def test_an_altered_artifact_is_refused(tmp_path: Path):
    for file in PACKAGED.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "tables.npz").open("ab") as tables:
        tables.write(b"x")
    with pytest.raises(ArtifactError, match="checksum"):
        load(tmp_path)


def test_another_process_says_the_same():
    script = (
        "from rb_litellm.predictors.default.artifact import packaged\n"
        "from rb_litellm.core.types import Prompt\n"
        "from rb_litellm.predictors.priors import ModelInfo\n"
        f"print(packaged().predict([Prompt({SUM.text!r}, 20)], [ModelInfo('a', 'gpt-4o')]).quality[0, 0])"
    )
    told = run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert float(told) == packaged().predict([SUM], [STRONG]).quality[0, 0]


def test_it_speaks_where_no_predictor_was_trained_and_priors_where_it_is_off():
    on = PredictionSource(default=packaged()).predict([CODE, CHAT], [WEAK, STRONG])
    off = PredictionSource().predict([CODE, CHAT], [WEAK, STRONG])
    assert np.ptp(on.quality[:, 0]) > 0.05
    assert np.ptp(off.quality[:, 0]) == 0.0


def test_a_failure_in_it_is_answered_from_priors():
    class Broken:
        version = "broken"

        def predict(self, prompts, models):
            raise RuntimeError("broken")

    seen = []
    source = PredictionSource(on_error=seen.append, default=Broken())  # type: ignore[arg-type]
    assert np.isfinite(source.predict([CODE], [WEAK]).quality).all()
    assert [str(error) for error in seen] == ["broken"]
