"""Figures of two builds are compared row by row."""

from __future__ import annotations

import asyncio

from rb_litellm.bench.decisions.builds import THIS, _run, compared
from rb_litellm.bench.decisions.picks import GROUPS
from rb_litellm.bench.decisions.rate import _decide
from rb_litellm.bench.real.placeholder_predictor import train_placeholder


def test_medians_and_their_ratio_are_told_of_rows_that_both_have():
    this = {("decision", 1): [50.0, 400.0, 60.0], ("new", 1): [1.0]}
    other = {("decision", 1): [120.0, 110.0, 130.0], ("gone", 1): [1.0]}
    assert compared(this, other, ("part", "batch")) == [
        {"part": "decision", "batch": 1, "this": 60.0, "other": 120.0, "ratio": 0.5}
    ]


def test_another_build_is_measured_and_not_this_one(tmp_path, monkeypatch):
    """A stand-in that only says that it is another one, asked from the folder of this one."""
    package = tmp_path / "rb_litellm"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(
        "import json, sys\n"
        "def main(): print(json.dumps({'rows': [{'part': 'decision', 'us': 7, 'asked': sys.argv[1:]}]}))\n"
    )
    monkeypatch.chdir(THIS)
    assert _run(tmp_path, ["bench"]) == [{"part": "decision", "us": 7, "asked": ["bench"]}]


def test_a_worker_counts_what_it_decides(tmp_path):
    train_placeholder(GROUPS, tmp_path / "placeholder")
    told = asyncio.run(_decide(str(tmp_path / "placeholder"), 13, 8, 0.3, seed=0, begin=0.0))
    assert told["decisions"] > 0
    assert told["decisions"] % 8 == 0
    assert told["decisions_per_s"] > 0
