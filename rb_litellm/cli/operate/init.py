"""`routebalance init`: propose the lines to add to an existing LiteLLM configuration, as a diff."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import click
from rich.syntax import Syntax

from rb_litellm.cli.output_options import json_option
from rb_litellm.cli.screen import Screen
from rb_litellm.core.decision.scoring import PRESETS, STANDARD


@click.command()
@click.option(
    "--config",
    "file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Read this LiteLLM configuration file.",
)
@click.option(
    "--group",
    help="Call the group over all chat models so; clients ask for it by this name.  [default: auto]",
)
@click.option(
    "--weights",
    type=click.Choice(list(PRESETS)),
    default=STANDARD,
    show_default=True,
    help="Give the group these weights.",
)
@click.option("--write", is_flag=True, help="Change the file; without it the change is only shown.")
@json_option
@click.option("--quiet", is_flag=True, help="Print no notes on standard error.")
def init(file: Path, group: str | None, weights: str, write: bool, as_json: bool, quiet: bool) -> None:
    """Propose the lines that make RouteBalance route the models of a configuration.

    They are a routing group over the chat models, the quality to expect of each model as far as its name or
    price tells, and the callback that loads RouteBalance. Comments and layout stay.
    """
    # Prices by the installed map: a download would make the answer depend on the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    from rb_litellm.doctor import file_checks
    from rb_litellm.doctor.configuration import Configuration
    from rb_litellm.litellm_adapter.proxy.starting.config_files import ConfigUnreadable, merged, read_files
    from rb_litellm.litellm_adapter.register import register
    from rb_litellm.setup.file import replace_text
    from rb_litellm.setup.proposal import NothingToRoute, propose
    from rb_litellm.setup.yaml_edit import CannotEdit

    register()
    try:
        files = read_files(file)
        config = Configuration(file, merged(files))
        if config.misshapen:
            raise click.ClickException(_first(file, config.misshapen))
        proposal = propose(config, files, group, weights)
    except CannotEdit as error:
        raise click.ClickException(
            f"{error}; nothing was changed. Add the lines by hand (docs/configuration.md)"
        ) from error
    except ConfigUnreadable as error:
        raise click.ClickException(str(error)) from error
    except NothingToRoute as error:
        raise click.ClickException(f"{file}: {error}") from error
    after = read_files(file, {path.resolve(): text for path, text in proposal.texts.items()})
    findings = file_checks.check(Configuration(file, merged(after)))
    if errors := [finding.message for finding in findings if finding.level == "error"]:
        raise click.ClickException(_first(file, errors))
    changed = bool(proposal.texts)
    diff = "".join(
        _diff(one.text, proposal.texts[one.path], one.path) for one in files if one.path in proposal.texts
    )
    if write:
        for path, text in proposal.texts.items():
            replace_text(path, text)
    if as_json:
        document = {"changed": changed, "written": write and changed, "diff": diff, "notes": proposal.notes}
        click.echo(json.dumps(document))
        return
    console = Screen()
    if console.is_terminal:
        console.print(Syntax(diff, "diff", theme="ansi_dark", background_color="default"))
    else:
        click.echo(diff, nl=False)
    if not quiet:
        for note in _closing(file, list(proposal.texts), write, proposal.notes):
            click.echo(note, err=True)


def _first(file: Path, errors: Sequence[str]) -> str:
    return "\n".join([f"{file}: nothing was changed; correct this first:", *errors])


def _diff(before: str, after: str, file: Path) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{file.name}", f"b/{file.name}"
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _closing(file: Path, changed: list[Path], written: bool, notes: tuple[str, ...]) -> list[str]:
    if not changed:
        return [*notes, f"{file} needs nothing"]
    names = " and ".join(map(str, changed))
    done = f"written: {names}" if written else "nothing is written yet; --write does it"
    return [*notes, f"{done}. Then: routebalance doctor --config {file}"]
