"""The command line as a whole: groups, names, what it says of a mistake, and exit statuses for scripts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import httpx
import pytest
from click.testing import CliRunner, Result
from rich.table import Table

from rb_litellm.cli import COMMANDS, GROUPS, main
from rb_litellm.cli.finite_range import FiniteRange
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


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with those below it, by its full name."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", one) for below, one in command.commands.items())


def test_every_option_is_told_of_in_a_sentence_that_begins_alike() -> None:
    for name, command in commands():
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                told = (option.help or "").partition("  [")[0]
                assert re.fullmatch(r"[A-Z][a-z]+,? .*[.]", told), f"{name} {option.opts}: {told!r}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("calibrate", "--url", "http://127.0.0.1:9/v1", "--yes", "--out"),
        ("tune", "--from-spend-logs", "log.jsonl", "--out"),
        ("replay", "--from-spend-logs", "log.jsonl", "--html"),
        ("predict", "--data", __file__, "--model", "a", "--out"),
    ],
)
@pytest.mark.parametrize("folder", ["missing", "a-file"])
def test_a_place_that_takes_no_file_is_told_before_anything_is_done(
    arguments: tuple[str, ...], folder: str, tmp_path: Path
) -> None:
    (tmp_path / "a-file").write_text("")
    result = run(*arguments, str(tmp_path / folder / "out"))
    assert result.exit_code == 1
    assert f"{tmp_path / folder} is no folder" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "--data", __file__, "--out"),
        ("experiment", "front", "--data", __file__, "--out"),
        ("experiment", "front", "--data", __file__, "--plots"),
    ],
)
def test_a_place_that_takes_no_report_is_told_before_anything_is_simulated(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").write_text("")
    result = run(*arguments, str(tmp_path / "a-file" / "report"))
    assert result.exit_code == 1
    assert f"cannot be written: {tmp_path / 'a-file'} is no folder" in result.stderr
    monkeypatch.setattr("rb_litellm.cli.output_options.find_spec", lambda name: None)
    result = run(*arguments, str(tmp_path / "a" / "new" / "report"))
    assert result.exit_code == 1
    assert f"Error: {arguments[-1]} needs matplotlib; install 'rb_litellm[sim]'" in result.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["incidents", "mooncake", "best-of"])
@pytest.mark.parametrize("option", ["--out", "--plots"])
def test_an_experiment_without_a_report_says_so_and_does_not_begin(
    name: str, option: str, tmp_path: Path
) -> None:
    result = run("experiment", name, option, str(tmp_path / "report"))
    assert result.exit_code == 2
    assert f"--out and --plots are not for {name}" in result.stderr


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_what_is_no_finite_number_is_refused_by_every_command(value: str) -> None:
    for name, command in commands():
        for option in command.params:
            if isinstance(option, click.Option) and isinstance(option.type, click.FloatRange):
                with pytest.raises(click.BadParameter):
                    option.type.convert(value, option, None)
                assert isinstance(option.type, FiniteRange), f"{name} {option.opts}"


def test_names_that_the_output_cannot_hold_are_written_out(tmp_path: Path) -> None:
    """A lone surrogate out of JSON, and another alphabet where the terminal has Latin letters alone."""
    for model, shown in (("m\ud800", "m\\ud800"), ("модель", "\\u043c\\u043e")):
        data = tmp_path / "rows.jsonl"
        data.write_text(json.dumps({"prompt": "p", "model": model, "quality": 0.5}) + "\n")
        arguments = ["evaluate", "--data", str(data), "--predictor", "none"]
        result = CliRunner(charset="latin-1").invoke(main, arguments)
        assert result.exit_code == 0, result.exception
        assert shown in result.stdout


@pytest.mark.parametrize("key", ["sk-1\r", "ключ", "sk-\u2013"])
@pytest.mark.parametrize("name", ["explain", "top", "doctor", "calibrate", "shadow-report"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(name: str, key: str) -> None:
    """As out of a file with Windows' line ends, or with a dash of a word processor."""
    more = {"explain": ("--model", "a", "--prompt", "x"), "calibrate": ("--model", "a", "--yes")}
    result = run(name, "--url", "http://127.0.0.1:9", "--key", key, *more.get(name, ()))
    assert result.exit_code == 2
    assert "Invalid value for '--key'" in result.stderr
    assert "has characters that no key has; allowed is visible ASCII" in result.stderr
    assert key.strip() not in result.stderr


def test_an_experiment_of_another_name_is_told_before_data_are_asked_for() -> None:
    result = run("experiment", "clusters")
    assert result.exit_code == 1
    assert "unknown experiment 'clusters'; did you mean cluster? there are cluster, " in result.stderr
    assert "best-of" in result.stderr
    assert "--data" not in result.stderr


def test_a_file_that_cannot_be_written_is_named_without_a_traceback(tmp_path: Path) -> None:
    row = {"prompt": "p", "model": "m", "answer": "a"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    judge = ("--judge", "openai/gpt-4o-mini", "--param", "mock_response=SCORE: 8", "--yes")
    out = str(tmp_path / "missing" / "out")
    result = run("label", "--data", str(tmp_path / "rows.jsonl"), *judge, "--out", out)
    assert result.exit_code == 1
    assert f"Error: {out}: No such file or directory" in result.stderr


def test_no_commands_summary_is_cut() -> None:
    for name, command in commands():
        if isinstance(command, click.Group):
            told = CliRunner().invoke(main, [*name.split(), "--help"], terminal_width=80).stdout
            assert [line for line in told.splitlines()[1:] if line.endswith("...")] == []


def test_the_predictor_is_named_alike_by_whoever_takes_any() -> None:
    for name, command in commands():
        options = {opt: one for one in command.params for opt in one.opts}
        if name in ("predict", "evaluate", "replay", "tune", "simulate"):
            assert options["--predictor"].metavar == "default|none|DIR"
            assert name == "predict" or "--model" not in options or options["--model"].hidden
            assert name in ("predict", "simulate") or options["--name"].metavar == "MODEL=NAME"


CANDIDATE = {
    "deployment": "a-deployment-of-long-name-1",
    "model": "qwen2.5-72b",
    "score": 1.2345,
    "terms": {"quality": 0.241, "latency": 0.62, "cost": 0.97},
    "quality": 0.7123,
    "output_tokens": 187.2,
    "wait_s": 12.5,
    "ttft_s": 13.234,
    "e2e_s": 101.25,
    "cost_usd": 0.0000743,
    "filters": {},
}
EXPLAINED = {
    "model": "auto",
    "objective": "joint",
    "weights": {"quality": 0.66, "latency": 0.17, "cost": 0.17},
    "set_by": {"weights": "request"},
    "relaxed": [],
    "ignored": [],
    "chosen": CANDIDATE["deployment"],
    "candidates": [
        CANDIDATE,
        {
            **CANDIDATE,
            "deployment": "other",
            "score": None,
            "price": "unknown",
            "filters": {"e2e": {"passed": False, "level": 0.31}},
        },
    ],
    "flips": [
        {"deployment": "other", "model": "m", "weights": {"quality": 0.1, "latency": 0.2, "cost": 0.7}}
    ],
}


def test_an_explanation_fits_80_columns_with_its_names_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx, "post", lambda *_, **__: httpx.Response(200, json=EXPLAINED))
    told = run("explain", "--key", "k", "--model", "auto", "--prompt", "p").stdout
    assert max(map(len, told.splitlines())) <= 80
    assert "* a-deployment-of-long-name-1 (qwen2.5-72b)" in told
    assert "fails e2e 0.31" in told
    assert "unknown  other" in told
    assert [line for line in told.splitlines() if line != line.rstrip()] == []
    quiet = run("explain", "--key", "k", "--model", "auto", "--prompt", "p", "--quiet").stdout
    assert quiet.startswith("The candidates' scores")


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


def test_a_file_without_its_option_is_told_the_option() -> None:
    result = run("doctor", "config.yaml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Options take files here: --config" in result.stderr


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
        # In a pipe nobody would see that it asks again and again.
        ("top", "--url"),
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
