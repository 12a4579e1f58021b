"""The report: what several seeds say, and a folder that needs nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars
import pytest
from click.testing import CliRunner

from rb_litellm.cli.decide.simulate import simulate
from rb_litellm.sim.report.blocks import Block, Claim, Table
from rb_litellm.sim.report.files import write_report
from rb_litellm.sim.report.statistics import Spread, ratio, spread
from rb_litellm.sim.results import RunResult
from rb_litellm.sim.servers.cluster import PAPER_CLUSTER
from rb_litellm.sim.world import Run, World
from tests.sim.corpus import TEST, TRAIN

WORLD = World(PAPER_CLUSTER, TRAIN, TEST)


def runs() -> list[RunResult]:
    return [
        WORLD.run(Run(policy, rate, seed, 60, sample_s=0.5))
        for policy in ("routebalance:balanced", "jsq")
        for rate in (10.0, 20.0)
        for seed in (0, 1, 2)
    ]


def test_spread_is_the_median_and_the_range() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 9.0, 4.0]) == Spread(3.0, 1.0, 9.0)
    assert Spread.of([2.0, 2.0]).text() == "2.00"
    assert Spread.of([1.0, 2.0, 3.0]).text(1) == "2.0 [1.0, 3.0]"


def test_ratios_compare_runs_of_the_same_seed() -> None:
    results = [r for r in runs() if r.policy == "jsq" and r.rate == 10.0]
    assert ratio(results, results[::-1], "mean_e2e_s") == Spread(1.0, 1.0, 1.0)


def test_folder_holds_json_parquet_page_and_plots(tmp_path: Path) -> None:
    results = runs()
    block = Block(Table("A <table>", ("what", "s"), (("x", "1"),)), (Claim("less", "1 of 2", False),))
    write_report(tmp_path / "out", "Title", results, {"runs": []}, [block])
    rows = polars.read_parquet(tmp_path / "out" / "requests.parquet")
    assert rows.height == 12 * 60
    first = rows.filter(
        (polars.col("policy") == "jsq") & (polars.col("rate") == 20.0) & (polars.col("seed") == 2)
    )
    assert first["e2e_s"].mean() == pytest.approx(
        spread([r for r in results if (r.policy, r.rate, r.seed) == ("jsq", 20.0, 2)], "mean_e2e_s").median,
        abs=1e-3,
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") == 6
    assert "A &lt;table&gt;" in page
    assert "Does not hold: less: 1 of 2" in page
    assert 'src="' not in page
    assert 'href="http' not in page.replace('xlink:href="#', "")
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == {"runs": []}
    assert len(list((tmp_path / "out" / "plots").glob("*.png"))) == 6


def test_markdown_of_a_block_is_a_table_and_its_claims() -> None:
    block = Block(Table("T", ("a", "b"), (("x", "1"),), "note"), (Claim("claim", "measured", True),))
    assert block.as_markdown().splitlines() == [
        "**T**", "", "| a | b |", "|---|---:|", "| x | 1 |", "", "note", "", "- holds: claim: measured",
    ]  # fmt: skip


def data_file(folder: Path) -> Path:
    random = np.random.default_rng(1)
    models = ("qwen2.5-3b", "qwen2.5-7b", "qwen2.5-14b", "qwen2.5-72b")
    rows = [
        {
            "prompt": f"question {n}",
            "model": model,
            "quality": round(float(random.uniform()), 3),
            "output_tokens": 50,
        }
        for n in range(80)
        for model in models
    ]
    path = folder / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_command_prints_one_document_and_trains_where_asked(tmp_path: Path) -> None:
    args = ["--data", str(data_file(tmp_path)), "--requests", "40", "--jobs", "1", "--json", "--quiet"]
    plain = CliRunner().invoke(simulate, args)
    assert plain.exit_code == 0, plain.output
    document = json.loads(plain.stdout)
    assert {"cluster", "requests", "runs", "wall_s", "sim_s"} <= document.keys()
    trained = CliRunner().invoke(simulate, [*args, "--train", "--policy", "routebalance:quality"])
    assert trained.exit_code == 0, trained.output


def test_command_refuses_what_it_cannot_use_by_name(tmp_path: Path) -> None:
    args = ["--data", str(data_file(tmp_path)), "--requests", "40", "--jobs", "1", "--quiet"]
    assert "unknown policy 'best'" in CliRunner().invoke(simulate, [*args, "--policy", "best"]).output
    assert "allowed is paper or a file" in CliRunner().invoke(simulate, [*args, "--cluster", "x"]).output
