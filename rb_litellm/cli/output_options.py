"""The options by which every command says how it prints, and where it writes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
quiet_option = click.option("--quiet", is_flag=True, help="Show no progress.")


class NewFile(click.Path):
    """A file that a command will write: it is not there yet, and its folder takes files.

    Known before anything is read or measured, so that nothing is lost for want of a place.
    """

    def __init__(self) -> None:
        super().__init__(dir_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """The path.

        Raises:
            ClickException: it cannot be written; says why.
        """
        path = Path(os.fsdecode(value))
        if path.exists() or path.is_symlink():
            raise click.ClickException(f"{path} exists; nothing is overwritten")
        if not path.parent.is_dir():
            raise click.ClickException(f"{path} cannot be written: {path.parent} is no folder")
        if not os.access(path.parent, os.W_OK):
            raise click.ClickException(f"{path} cannot be written: {path.parent} takes no files")
        return super().convert(value, param, ctx)
