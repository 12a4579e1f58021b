"""The command line as a whole: groups, names, what it says of a mistake, and exit statuses for scripts."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
from click.testing import CliRunner, Result
from rich.table import Table

from rb_litellm.cli import COMMANDS, GROUPS, main
from rb_litellm.cli.screen import Screen, counted
from rb_litellm.config import SettingsError, parse_settings
from rb_litellm.demo.processes import free_port


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_help_lists_every_command_in_its_group() -> None:
    told = run("--help").stdout
    places = [told.index(f"\n{group}:\n") for group in GROUPS]
    assert places == sorted(places)
    for name in COMMANDS:
        assert f"\n  {name} " in told


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_that_fits_80_columns(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"], terminal_width=80)
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("name", ["doctor", "explain", "top"])
def test_whoever_asks_a_proxy_names_it_alike(name: str) -> None:
    told = " ".join(run(name, "--help").stdout.split())
    assert "env var: LITELLM_PROXY_URL" in told
    assert "env var: LITELLM_MASTER_KEY" in told
    assert "http://localhost:4000" in told


def test_a_misspelt_command_is_told_what_may_be_meant() -> None:
    result = run("dcotor")
    assert result.exit_code == 2
    assert "Did you mean doctor?" in result.stderr
    assert "Did you mean" not in run("xyzzy").stderr


@pytest.mark.parametrize(
    ("args", "meant"), [({"wieghts": "cost"}, "weights"), ({"weights": "balnced"}, "balanced")]
)
def test_a_misspelt_setting_is_told_what_may_be_meant(args: dict[str, str], meant: str) -> None:
    with pytest.raises(SettingsError, match=f"did you mean {meant}"):
        parse_settings(args, "args")


def test_version_tells_litellms_too() -> None:
    assert json.loads(run("version", "--json").stdout)["litellm"] == version("litellm")
    assert f"litellm {version('litellm')}" in run("version").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("top", "--once", "--url"),
        ("doctor", "--url"),
        ("explain", "--key", "k", "--model", "m", "--prompt", "p", "--url"),
    ],
)
def test_a_dead_proxy_is_a_failure_on_standard_error(arguments: tuple[str, ...]) -> None:
    result = run(*arguments, f"http://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "does not answer" in result.stderr


@pytest.mark.parametrize("command", [("top", "--once"), ("state",)])
def test_a_dead_redis_is_a_failure_on_standard_error(command: tuple[str, ...]) -> None:
    result = run(*command, "--redis", f"redis://127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr


@pytest.mark.parametrize(("number", "told"), [(0, "0 errors"), (1, "1 error"), (2, "2 errors")])
def test_one_is_not_many(number: int, told: str) -> None:
    assert counted(number, "error") == told


@pytest.mark.parametrize("cells", [3, 60])
def test_a_table_in_a_pipe_keeps_names_and_rows_whole(cells: int, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(*(f"column {number}" for number in range(cells)), title="t", title_justify="left")
    names = [f"a-deployment-with-a-long-name-{number}" for number in range(cells)]
    table.add_row(*names)
    Screen().print(table)
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if names[0] in line]
    assert all(name in row for name in names)
    assert [line for line in lines if line != line.rstrip()] == []
