"""`routebalance ...`: one file per command, imported only when it is called."""

from __future__ import annotations

from importlib import import_module

import click

# command -> (module, attribute, one line for --help); a module is imported when its command runs.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("rb_litellm.cli.demo", "demo", "Route real requests before thirteen simulated servers."),
    "data": ("rb_litellm.cli.data", "data", "Fetch public measurements as rows to train and judge by."),
    "train": ("rb_litellm.cli.train", "train", "Learn answer quality and length from graded answers."),
    "label": ("rb_litellm.cli.label", "label", "Grade answers by a judge model, or from thumbs."),
    "predict": ("rb_litellm.cli.predict", "predict", "Say what is expected of each model for each prompt."),
    "evaluate": ("rb_litellm.cli.evaluate", "evaluate", "Judge a predictor on graded answers."),
    "simulate": ("rb_litellm.cli.simulate", "simulate", "Compare policies on a simulated cluster."),
    "replay": ("rb_litellm.cli.replay", "replay", "Try policies on the traffic of LiteLLM's spend logs."),
    "tune": (
        "rb_litellm.cli.tune",
        "tune",
        "Find the weights that meet limits of latency, cost and quality.",
    ),
    "experiment": (
        "rb_litellm.cli.experiment",
        "experiment",
        "Carry out a published experiment and check its claims.",
    ),
    "shadow-report": ("rb_litellm.cli.shadow_report", "shadow_report", "Say what shadow mode would change."),
    "bench": ("rb_litellm.cli.bench", "bench", "Measure costs and behaviour."),
    "init": ("rb_litellm.cli.init", "init", "Propose the lines that a LiteLLM configuration needs."),
    "doctor": ("rb_litellm.cli.doctor", "doctor", "Check a configuration and a running proxy."),
    "explain": ("rb_litellm.cli.explain", "explain", "Show where a request would go now, and why."),
    "top": ("rb_litellm.cli.top", "top", "Watch the cluster and its decisions in the terminal."),
    "state": ("rb_litellm.cli.state", "state", "Show the workers alive and what they have open, from Redis."),
}


class LazyGroup(click.Group):
    """A click group that knows its commands by name and imports only the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table above."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return the command, or None for an unknown name."""
        if name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[name]
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the table without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rb_litellm")
def main() -> None:
    """RouteBalance for LiteLLM: train, simulate, measure and watch."""
