"""Cells on a Dask cluster of real processes: the same as alone, whatever fails, by workers of one release."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("distributed")

from rb_litellm.cli.decide.simulate import simulate
from rb_litellm.cli.decide.tune import tune
from rb_litellm.cli.measure.experiment import experiment
from rb_litellm.demo.processes import free_port
from rb_litellm.sim.world import WorldFiles, run_all
from rb_litellm.spread import dask_cluster
from rb_litellm.spread.release import release
from rb_litellm.spread.where import HERE, Where
from rb_litellm.spread.work import Failed, SpreadError, whole
from tests.replay.logs_of_simulations import rows, write
from tests.sim.experiments.test_report import data_file
from tests.sim.experiments.test_spread_runs import bits, command, runs_told, some_runs
from tests.spread import cells
from tests.spread.clusters import ROOT, cluster, scheduler, worker


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster of two workers."""
    with cluster(tmp_path_factory.mktemp("dask"), 2) as found:
        yield found


def carried_out(address: str, function, numbers, shared=None, on_done=lambda _: None) -> list[object]:
    with Where(scheduler=address).team(cells.of(function, shared)) as team:
        return team.map(numbers, on_done)


def test_results_come_in_the_order_of_the_cells(address: str) -> None:
    heard: list[object] = []
    found = carried_out(address, cells.square, range(30), 100, heard.append)
    assert found == [100 + n * n for n in range(30)]
    assert sorted(heard) == found


def test_runs_are_the_same_alone_and_on_a_cluster(address: str, tmp_path: Path) -> None:
    files, runs = WorldFiles((data_file(tmp_path),)), some_runs(tmp_path / "trace.csv")
    alone, spread = (whole(run_all(files, runs, where)) for where in (HERE, Where(scheduler=address)))
    assert [bits(result) for result in spread] == [bits(result) for result in alone]


def test_commands_print_the_same_alone_and_on_a_cluster(address: str, tmp_path: Path) -> None:
    data = ("--data", str(data_file(tmp_path)), "--requests", "50")
    places = (("--jobs", "1"), ("--scheduler", address))
    alone, spread = (command(simulate, *data, *place) for place in places)
    assert runs_told(alone) == runs_told(spread)
    small = (*data, "--seeds", "1")
    alone, spread = (command(experiment, "slo", *small, *place) for place in places)
    assert runs_told(alone) == runs_told(spread)
    assert json.loads(alone.stdout)["blocks"] == json.loads(spread.stdout)["blocks"]


def test_weights_are_found_the_same_alone_and_on_a_cluster(address: str, tmp_path: Path) -> None:
    log = write(tmp_path / "spend.jsonl", rows(count=60))
    places = (("--jobs", "1"), ("--scheduler", address))
    alone, spread = (command(tune, "--from-spend-logs", log, "--seed", "0", *place) for place in places)
    assert alone.exit_code == 0, alone.output
    assert json.loads(alone.stdout) == json.loads(spread.stdout)


def test_cells_are_carried_out_elsewhere_and_by_all_workers(address: str) -> None:
    there = set(carried_out(address, cells.process, range(30)))
    assert os.getpid() not in there
    assert len(there) == 2


def test_a_cell_that_fails_is_named_and_the_others_are_not_lost(address: str) -> None:
    outcomes = carried_out(address, cells.fail_at_three, (0, 1, 3, 4))
    assert [outcomes[0], outcomes[1], outcomes[3]] == [0, 1, 4]
    assert str(outcomes[2]).startswith("cell 3: KeyError: 'three' (cells.py, line ")


def test_a_cell_that_ends_every_worker_it_meets_costs_itself_alone(tmp_path: Path) -> None:
    with cluster(tmp_path, 1) as address:
        outcomes = carried_out(address, cells.die_at_three, (1, 2, 3, 4, 5))
        assert outcomes[:2] + outcomes[3:] == [1, 2, 4, 5]
        assert isinstance(outcomes[2], Failed)
        assert outcomes[2].cell == "cell 3"
        assert "KilledWorker" in outcomes[2].reason


def test_threads_of_one_worker_share_nothing(tmp_path: Path) -> None:
    with scheduler(tmp_path) as address, worker(address, tmp_path, threads=2):
        found = carried_out(address, cells.owner, range(30), [])
        copies = dict(found)
        assert len(copies) == len(set(copies.values())) == 2
        assert set(found) == set(copies.items())


def test_workers_keep_nothing_of_a_work_that_is_done(address: str) -> None:
    from distributed import Client

    carried_out(address, cells.square, range(4), 0)
    with Client(address, set_as_default=False) as client:
        assert set(client.run(cells.held).values()) == {0}


def test_a_worker_of_another_release_is_refused_by_both_names(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "rb_litellm", tmp_path / "rb_litellm", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "rb_litellm" / "version.py").write_text('__version__ = "0.0.9"\n')
    with (
        scheduler(tmp_path) as address,
        worker(address, tmp_path, package=tmp_path),
        pytest.raises(SpreadError) as refused,
    ):
        carried_out(address, cells.square, (1, 2), 0)
    assert "has rb_litellm 0.0.9+" in str(refused.value)
    assert f"this command is {release()}" in str(refused.value)


def test_a_worker_of_another_release_that_comes_later_is_refused_too(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Where(scheduler=address).team(cells.of(cells.square, 0)) as team:
        monkeypatch.setattr(dask_cluster, "release", lambda: "0.2.0+1")
        with pytest.raises(
            SpreadError, match=f"has rb_litellm {release()}, this command is 0.2.0".replace("+", ".")
        ):
            team.map((1, 2))


def test_a_worker_without_the_package_is_named(tmp_path: Path) -> None:
    (tmp_path / "rb_litellm.py").write_text("")
    with (
        scheduler(tmp_path) as address,
        worker(address, tmp_path, package=tmp_path),
        pytest.raises(SpreadError, match=rf"does not have rb_litellm {release()}".replace("+", ".")),
    ):
        carried_out(address, cells.square, (1, 2), 0)


def test_the_scheduler_is_asked_too(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(dask_cluster, "_on_scheduler", lambda _: "0.0.9+1")
    with pytest.raises(SpreadError, match=rf"the scheduler {address} has rb_litellm 0\.0\.9"):
        carried_out(address, cells.square, (1, 2), 0)


def test_where_nobody_answers_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "ANSWER_S", 1.0)
    nobody = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(SpreadError, match=f"no Dask scheduler answers at {nobody}"):
        carried_out(nobody, cells.square, (1,), 0)
    with scheduler(tmp_path) as alone, pytest.raises(SpreadError, match=f"{alone} has no worker"):
        carried_out(alone, cells.square, (1,), 0)


def test_without_dask_the_option_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    args = ["--data", str(data_file(tmp_path)), "--requests", "40", "--quiet"]
    result = CliRunner().invoke(simulate, [*args, "--scheduler", "tcp://127.0.0.1:1"])
    assert result.exit_code == 1
    assert "pip install 'rb_litellm[cluster]'" in result.stderr


def test_a_number_of_processes_and_a_cluster_are_two_things(tmp_path: Path) -> None:
    args = ["--data", str(data_file(tmp_path)), "--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"]
    result = CliRunner().invoke(simulate, args)
    assert result.exit_code == 2
    assert "give one of them" in result.stderr
