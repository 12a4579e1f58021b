"""`routebalance init`: propose the lines to add to an existing LiteLLM configuration, as a diff."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.syntax import Syntax

from rb_litellm.core.scoring import PRESETS


@click.command()
@click.option(
    "--config",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="LiteLLM's config.yaml.",
)
@click.option("--group", help="Name by which clients ask for the choice among all chat models.  [auto]")
@click.option("--weights", type=click.Choice(list(PRESETS)), default="balanced", show_default=True)
@click.option("--write", is_flag=True, help="Change the file; without it the change is only shown.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--quiet", is_flag=True, help="No notes on standard error.")
def init(file: Path, group: str | None, weights: str, write: bool, as_json: bool, quiet: bool) -> None:
    """Propose the lines that make RouteBalance route the models of a configuration.

    They are a routing group over the chat models, the quality to expect of each model as far as its name or
    price tells, and the callback that loads RouteBalance. Comments and layout stay.
    """
    # Prices by the installed map: a download would make the answer depend on the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from rb_litellm.doctor.configuration import Configuration
    from rb_litellm.litellm_adapter.proxy.preflight import ConfigUnreadable, read_config
    from rb_litellm.setup.file import read_text, replace_text
    from rb_litellm.setup.proposal import NothingToRoute, propose
    from rb_litellm.setup.yaml_text import CannotEdit

    try:
        text = read_text(file)
        proposal = propose(Configuration(file, read_config(file)), text, group, weights)
    except CannotEdit as error:
        raise click.ClickException(
            f"{file}: {error}; nothing was changed. Add the lines by hand (docs/configuration.md)"
        ) from error
    except (ConfigUnreadable, NothingToRoute, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {error}") from error
    if errors := _errors(proposal.text, file):
        raise click.ClickException("\n".join([f"{file}: nothing was changed; correct this first:", *errors]))
    changed = proposal.text != text
    diff = _diff(text, proposal.text, file)
    if write and changed:
        replace_text(file, proposal.text)
    if as_json:
        document = {"changed": changed, "written": write and changed, "diff": diff, "notes": proposal.notes}
        click.echo(json.dumps(document))
        return
    console = Console()
    if console.is_terminal:
        console.print(Syntax(diff, "diff", theme="ansi_dark", background_color="default"))
    else:
        click.echo(diff, nl=False)
    if not quiet:
        for note in _closing(file, changed, write, proposal.notes):
            click.echo(note, err=True)


def _errors(text: str, file: Path) -> list[str]:
    """What the doctor would call an error in the proposed text."""
    from rb_litellm.doctor import configuration
    from rb_litellm.litellm_adapter.proxy.preflight import read_config

    # Beside the file, where what it includes is found.
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / file.name
        for neighbour in file.resolve().parent.iterdir():
            if neighbour.name != file.name:
                (Path(folder) / neighbour.name).symlink_to(neighbour)
        trial.write_text(text, encoding="utf-8")
        config = configuration.Configuration(trial, read_config(trial))
        return [f.message for f in configuration.check(config) if f.level == "error"]


def _diff(before: str, after: str, file: Path) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{file.name}", f"b/{file.name}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _closing(file: Path, changed: bool, written: bool, notes: tuple[str, ...]) -> list[str]:
    if not changed:
        return [*notes, f"{file} needs nothing"]
    done = f"{file} is written" if written else "nothing is written yet; --write does it"
    return [*notes, f"{done}. Then: routebalance doctor --config {file}"]
