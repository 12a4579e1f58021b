"""The options by which every command says how it prints, and where it writes."""

from __future__ import annotations

import os
from importlib.util import find_spec
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
        _check(path, path.parent)
        return super().convert(value, param, ctx)


class ReportFolder(click.Path):
    """A folder that takes a report: it is there or can be made, and what draws is installed.

    Known before anything is simulated, for the same reason.
    """

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """The path.

        Raises:
            ClickException: it cannot be written, or a library is missing; says which.
        """
        path = Path(os.fsdecode(value))
        place = next(one for one in (path, *path.absolute().parents) if one.exists() or one.is_symlink())
        _check(path, place)
        for library in ("matplotlib", "polars"):
            if find_spec(library) is None:
                option = param.opts[0] if param else "a report"
                raise click.ClickException(f"{option} needs {library}; install 'rb_litellm[sim]'")
        return super().convert(value, param, ctx)


def _check(path: Path, place: Path) -> None:
    """Whether `place` is a folder that `path` can be written below."""
    if not place.is_dir():
        raise click.ClickException(f"{path} cannot be written: {place} is no folder")
    if not os.access(place, os.W_OK):
        raise click.ClickException(f"{path} cannot be written: {place} takes no files")
