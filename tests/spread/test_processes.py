"""Cells in processes of this machine: the same as alone, whatever fails, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from rb_litellm.spread.processes import Processes
from rb_litellm.spread.room import BYTES_EACH, default_jobs
from rb_litellm.spread.where import Where
from rb_litellm.spread.work import Failed, SpreadError, whole
from tests.spread import cells

WAYS = ("alone", "two processes")


@pytest.fixture(params=WAYS)
def carried_out(request: pytest.FixtureRequest) -> Callable[..., list[object]]:
    """Carry out a function in one of the ways."""

    def carry_out(function, numbers, shared=None, on_done=lambda _: None):
        with Where(WAYS.index(request.param) + 1).team(cells.of(function, shared)) as team:
            return team.map(numbers, on_done)

    return carry_out


def test_results_come_in_the_order_of_the_cells(carried_out) -> None:
    assert carried_out(cells.square, range(7), 100) == [100, 101, 104, 109, 116, 125, 136]


def test_every_outcome_is_told_when_it_comes(carried_out) -> None:
    heard: list[object] = []
    outcomes = carried_out(cells.fail_at_three, range(5), on_done=heard.append)
    assert sorted(map(str, heard)) == sorted(map(str, outcomes))


def test_a_cell_that_fails_is_named_and_the_others_are_not_lost(carried_out) -> None:
    outcomes = carried_out(cells.fail_at_three, (0, 1, 3, 4))
    assert [outcomes[0], outcomes[1], outcomes[3]] == [0, 1, 4]
    assert isinstance(outcomes[2], Failed)
    assert str(outcomes[2]).startswith("cell 3: KeyError: 'three' (cells.py, line ")


def test_a_complaint_about_the_input_is_told_in_its_own_words(carried_out) -> None:
    (outcome,) = carried_out(cells.refuse_three, (3,))
    assert str(outcome) == "cell 3: three is not allowed; allowed are others"


def test_where_all_are_needed_one_that_failed_is_an_error(carried_out) -> None:
    assert whole(carried_out(cells.refuse_three, (1, 2))) == [1, 2]
    with pytest.raises(SpreadError, match="cell 3: three is not allowed"):
        whole(carried_out(cells.refuse_three, (1, 3)))


def test_a_process_that_the_system_ends_costs_its_own_cell_alone() -> None:
    with Processes(cells.of(cells.die_at_three), 2) as team:
        outcomes = team.map((1, 2, 3, 4, 5))
        assert outcomes == [1, 2, Failed("cell 3", "its process was ended by SIGKILL"), 4, 5]
        assert team.map((6, 7)) == [6, 7]


def test_a_result_that_cannot_travel_is_an_error_of_its_cell() -> None:
    with Processes(cells.of(cells.lock_at_three), 2) as team:
        one, two = team.map((1, 3))
    assert one == 1
    assert "cell 3: its result cannot be sent" in str(two)


def test_work_that_processes_cannot_take_is_told_at_once() -> None:
    with (
        pytest.raises(SpreadError, match="cannot take the work: RuntimeError: not here"),
        Processes(cells.of(cells.square, cells.Unreadable()), 2) as team,
    ):
        team.map((1, 2))


def test_processes_stay_for_the_next_call_and_are_no_more_than_the_cells() -> None:
    with Processes(cells.of(cells.process), 2) as team:
        first = set(team.map([0]))
        later = {*team.map(range(20)), *team.map(range(20))}
    assert len(first) == 1
    assert len(first | later) <= 2
    assert os.getpid() not in later


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_command_ends_its_processes(tmp_path: Path, how: signal.Signals) -> None:
    text = (
        "import pathlib, sys\n"
        "from rb_litellm.spread.processes import Processes\n"
        "from tests.spread import cells\n"
        "work = cells.of(cells.wait_for_ever, pathlib.Path(sys.argv[1]))\n"
        "with Processes(work, 2) as team:\n"
        "    team.map((1, 2))\n"
    )
    command = subprocess.Popen(
        [sys.executable, "-c", text, str(tmp_path)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        while len(found := list(tmp_path.glob("*.pid"))) < 2:
            assert command.poll() is None
            time.sleep(0.05)
        # As a terminal does on Ctrl-C, to the whole group; other signals to the command alone.
        (os.killpg if how == signal.SIGINT else os.kill)(command.pid, how)
        assert command.wait(60) != 0
        for one in found:
            until_gone(int(one.stem))
    finally:
        command.kill()
        command.wait()


def until_gone(pid: int) -> None:
    """Return when there is no such process any more, other than as one that nobody has asked after."""
    stat = Path(f"/proc/{pid}/stat")
    with suppress(FileNotFoundError, ProcessLookupError):
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.05)


def test_by_default_there_are_as_many_processes_as_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text(f"MemTotal: 1 kB\nMemAvailable: {100 * BYTES_EACH // 1024} kB\n")
    monkeypatch.setenv("PYTHON_CPU_COUNT", "7")
    assert default_jobs(0, tmp_path, meminfo) == 7
    monkeypatch.delenv("PYTHON_CPU_COUNT")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    assert default_jobs(0, tmp_path, meminfo) == 12
    (tmp_path / "cpu.max").write_text("350000 100000\n")
    assert default_jobs(0, tmp_path, meminfo) == 3
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text(f"{10 * BYTES_EACH}\n")
    (tmp_path / "memory.current").write_text(f"{8 * BYTES_EACH}\n")
    assert default_jobs(0, tmp_path, meminfo) == 2
    assert default_jobs(BYTES_EACH // 2, tmp_path, meminfo) == 1
    meminfo.write_text("MemAvailable: 10 kB\n")
    assert default_jobs(0, tmp_path, meminfo) == 1


def test_one_process_is_this_one() -> None:
    with Where(1).team(cells.of(cells.process)) as team:
        assert team.map((1, 2)) == [os.getpid()] * 2
