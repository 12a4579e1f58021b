"""Every command that the documentation shows exists, with the options that are shown."""

from __future__ import annotations

import ast
import importlib.util
import re
from importlib import metadata

import click
import pytest

from rb_litellm.cli import COMMANDS, main
from rb_litellm.sim.experiments.registry import NAMES
from tests.docs.pages import PAGES, ROOT, Command, commands

_CHECKED = (click.Choice, click.IntRange, click.FloatRange, click.types.IntParamType)


ALONE = ("incidents", "failures", "agents", "efforts", "cascade", "best-of", "mooncake")
"""Experiments that the registry does not list."""


def shown(*programs: str) -> list[Command]:
    return [command for page in PAGES for command in commands(page, *programs)]


def resolved(command: Command) -> tuple[click.Command, list[str]]:
    """The click command and the words that follow its name."""
    found: click.Command = main
    words = list(command.words[1:])
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        inner = found.get_command(click.Context(found), words[0])
        assert inner is not None, f"{command}: there is no command {words[0]}"
        found, words = inner, words[1:]
    return found, words


def parsed(command: click.Command, words: list[str]) -> tuple[dict[str, object], list[str]]:
    """Values by parameter and what is too much, without looking whether files exist."""
    context = click.Context(command, info_name=command.name)
    values, extra, _ = command.make_parser(context).parse_args(list(words))
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter.type, _CHECKED) and value is not None:
            parameter.type_cast_value(context, value)
    return values, extra


def _options_with_values(command: click.Command) -> set[str]:
    options = (p for p in command.params if isinstance(p, click.Option) and not p.is_flag)
    return {name for option in options for name in option.opts}


@pytest.mark.parametrize("command", shown("routebalance"), ids=str)
def test_a_command_of_ours_exists_with_these_options(command: Command) -> None:
    if command.words[1] == "...":
        return
    found, words = resolved(command)
    if isinstance(found, click.Group):
        assert not command.whole, f"{command}: names no command of {found.name}"
        return
    if not command.whole and words and words[-1] in _options_with_values(found):
        words.append("1")  # A sentence may name an option alone.
    values, extra = parsed(found, words)
    assert not extra
    if command.whole:
        lacking = [p.name for p in found.params if p.required and values.get(p.name or "") is None]
        assert lacking == []
    if found.name == "experiment" and isinstance(values["name"], str):
        assert values["name"] in {*NAMES, *ALONE}


@pytest.mark.parametrize("command", shown("rb-litellm", "litellm"), ids=str)
def test_the_proxy_is_started_with_options_that_litellm_has(command: Command) -> None:
    from litellm.proxy.proxy_cli import run_server

    _, extra = parsed(run_server, list(command.words[1:]))
    assert not extra


@pytest.mark.parametrize("command", shown("pip", "uv"), ids=str)
def test_extras_that_are_installed_are_extras_of_ours(command: Command) -> None:
    known = set(metadata.metadata("rb_litellm").get_all("Provides-Extra") or ())
    for word in command.words:
        if match := re.search(r"(?:rb_litellm|\.|\.whl)\[([\w,]+)\]", word):
            assert set(match[1].split(",")) <= known


@pytest.mark.parametrize("command", shown("python", "pytest", "nox"), ids=str)
def test_modules_tests_and_sessions_that_are_run_are_there(command: Command) -> None:
    program, *words = command.words
    if program == "python":
        assert words[0] == "-m"
        assert importlib.util.find_spec(words[1]) is not None
    elif program == "pytest":
        assert all((ROOT / word).exists() for word in words if "/" in word)
    else:
        tree = ast.parse((ROOT / "noxfile.py").read_text())
        sessions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert words[0] in ("-s", "--session")
        assert words[1].partition("(")[0] in sessions


def test_every_command_and_every_experiment_is_shown_somewhere() -> None:
    words = [command.words[1:] for command in shown("routebalance")]
    assert set(COMMANDS) - {first for first, *_ in words} == set()
    experiments = {more[0] for first, *more in words if first == "experiment" and more}
    assert {*NAMES, *ALONE} - experiments == set()


def test_the_two_commands_of_the_readme_are_what_the_gate_runs() -> None:
    test = "pip install -e '.[test]' && pytest"
    readme = (ROOT / "README.md").read_text()
    assert test in readme
    assert "pip install -e '.[demo]' && routebalance demo" in readme
    assert "pip install --quiet -e '.[test]' && pytest" in (ROOT / ".ci" / "run").read_text()
