"""`routebalance data`: public measurements, fetched and written as the rows that other commands read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from rb_litellm.cli.output_options import json_option, quiet_option
from rb_litellm.cli.plain_table import show_table


@click.command(context_settings={"show_default": True})
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the rows to this folder, which is made if need be.",
)
@click.option(
    "--from",
    "clones",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    metavar="DIR",
    help="Read from this git clone, not from the network. May be given once for each source.",
)
@click.option(
    "--whole", is_flag=True, help="Write the prompts and models that are left out for judging, too."
)
@json_option
@quiet_option
def data(
    names: tuple[str, ...],
    out: Path | None,
    clones: tuple[Path, ...],
    whole: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Fetch public measurements and write their rows.

    NAME is a set, or `all`; without one the sets are listed. Each comes from its repository at a pinned
    commit, and its licence is written beside the rows. A fifth of the graded prompts and some models are left
    out, always the same, so that what was trained on the rows can be judged on the others.
    """
    from rb_litellm.datasets.repository import Clone, Download, SourceError, clone_of, https_client
    from rb_litellm.datasets.sets import SETS, write_set

    known = {one.name: one for one in SETS}
    if not names:
        _list(as_json)
        return
    wanted = list(known) if "all" in names else list(dict.fromkeys(name.replace("_", "-") for name in names))
    if unknown := [name for name in wanted if name not in known]:
        raise click.UsageError(f"no set {unknown[0]!r}; there are {', '.join(known)}, and all")
    if out is None:
        raise click.UsageError("give --out DIR")
    report: list[dict[str, Any]] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed} rows"))
    shown = Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True, quiet=quiet), transient=True)
    with https_client() as client, shown as progress:
        for name in wanted:
            which = known[name]
            task = progress.add_task(name)
            try:
                files: Clone | Download
                files = clone_of(which.source, clones) if clones else Download(which.source, client)
                written = write_set(which, files, out, whole, lambda task=task: progress.advance(task))  # type: ignore[misc]
            except (SourceError, OSError) as error:
                raise click.ClickException(f"{name}: {error}") from error
            progress.remove_task(task)
            report.append(
                {
                    "name": name,
                    "repository": which.source.repository,
                    "commit": which.source.commit,
                    "licence": which.source.licence,
                    "files": [{"path": str(w.path), "rows": w.rows, "sha256": w.sha256} for w in written],
                }
            )
            if not as_json:
                for one in written:
                    click.echo(f"{one.path}: {one.rows} rows")
                click.echo(
                    f"  from {which.source.repository} at {which.source.commit[:7]}, {which.source.licence}: "
                    f"see {out / (name + '.LICENSE')}"
                )
    if as_json:
        click.echo(json.dumps({"out": str(out), "sets": report}))


def _list(as_json: bool) -> None:
    from rb_litellm.datasets.sets import SETS

    if as_json:
        sets = [
            {
                "name": one.name,
                "about": one.about,
                "repository": one.source.repository,
                "commit": one.source.commit,
                "licence": one.source.licence,
                "files": [file.name for file in one.files],
            }
            for one in SETS
        ]
        click.echo(json.dumps({"sets": sets}))
        return
    rows = [((one.name, one.source.licence, one.source.repository), one.about) for one in SETS]
    show_table("Sets, each from its repository at a pinned commit", ("set", "licence", "from"), "what", rows)
