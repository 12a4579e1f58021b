"""`routebalance ...`: one file per command, in a folder per group, imported only when it is called."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module

import click

from rb_litellm.new_file import NO_ROOM
from rb_litellm.suggestion import did_you_mean

# Group of --help, whose folder has its name -> command -> (module, attribute, one line for --help). A new
# command is a new line here; its module is imported when it runs.
GROUPS: Mapping[str, Mapping[str, tuple[str, str, str]]] = {
    "Operate": {
        "init": ("init", "init", "Propose the lines that a LiteLLM configuration needs."),
        "doctor": ("doctor", "doctor", "Check a configuration and a running proxy."),
        "calibrate": ("calibrate", "calibrate", "Measure an inference server, and write its settings."),
        "explain": ("explain", "explain", "Show where a request would go now, and why."),
        "top": ("top", "top", "Watch the cluster and its decisions in the terminal."),
        "state": ("state", "state", "Show the workers alive and what they have open, from Redis."),
        "version": ("version", "version", "Print the releases of RouteBalance, LiteLLM and Python."),
    },
    "Learn": {
        "data": ("data", "data", "Fetch public measurements as rows to train and judge by."),
        "train": ("train", "train", "Learn answer quality and length from graded answers."),
        "label": ("label", "label", "Grade answers by a judge model, or from thumbs."),
        "predict": ("predict", "predict", "Say what is expected of each model for each prompt."),
        "evaluate": ("evaluate", "evaluate", "Judge a predictor on graded answers."),
    },
    "Decide": {
        "replay": ("replay", "replay", "Try policies on the traffic of LiteLLM's spend logs."),
        "tune": ("tune", "tune", "Find the weights that meet limits of latency, cost and quality."),
        "simulate": ("simulate", "simulate", "Compare policies on a simulated cluster."),
        "shadow-report": ("shadow_report", "shadow_report", "Say what shadow mode would change."),
    },
    "Measure": {
        "demo": ("demo", "demo", "Route real requests before thirteen simulated servers."),
        "bench": ("bench", "bench", "Measure costs and behaviour."),
        "experiment": ("experiment", "experiment", "Carry out a published experiment and check its claims."),
    },
}
COMMANDS = {
    name: (f"{group.lower()}.{module}", attribute, text)
    for group, commands in GROUPS.items()
    for name, (module, attribute, text) in commands.items()
}


class LazyGroup(click.Group):
    """A click group that knows its commands by name and imports only the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the groups above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return the command, or None for an unknown name."""
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(import_module(f"{__name__}.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is asked for; one that is not there is answered with what may be meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            hint = did_you_mean(args[0], COMMANDS).capitalize().strip()
            ctx.fail(f"There is no command {args[0]!r}. {hint}".strip())
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Carry it out; a file that is given bare is answered with the options that take one.

        A file that cannot be read or written is an error with its name, wherever that shows. One without a
        name that finds no room is the standard output.
        """
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.filename is None and error.errno in NO_ROOM:
                _leave_standard_output()
                raise click.ClickException(f"standard output: {error.strerror}") from error
            if error.filename is None:
                raise
            raise click.ClickException(f"{error.filename}: {error.strerror}") from error
        except click.UsageError as error:
            given = error.ctx.command.params if error.ctx and "extra argument" in error.message else ()
            options = [one for one in given if isinstance(one, click.Option)]
            if taking := [one.opts[-1] for one in options if isinstance(one.type, click.Path)]:
                told = f"{error.message}. Options take files here: {', '.join(taking)}"
                raise click.UsageError(told, error.ctx) from None
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table, group by group, without importing anything."""
        width = max(map(len, COMMANDS))
        for group, commands in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(name.ljust(width), text) for name, (_, _, text) in commands.items()])


def _leave_standard_output() -> None:
    """Let what it still holds go nowhere: it would be written, and fail, once more at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rb_litellm")
def main() -> None:
    """RouteBalance for LiteLLM: operate it, teach it, decide by it and measure it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Names of models and prompts are others', a terminal or file of another encoding the user's.
            stream.reconfigure(errors="backslashreplace")
