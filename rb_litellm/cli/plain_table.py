"""Tables of figures with names at the end of the line: whole, however long, in a pipe as on a screen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import click


def show_table(
    title: str, figures: Sequence[str], name: str, rows: Iterable[tuple[Sequence[str], str]]
) -> None:
    """Print a table: the heads of its `figures`, right-justified, and `name` above what ends each row.

    A name of several lines goes on below its first one.
    """
    held = list(rows)
    widths = [
        max(len(head), *(len(cells[i]) for cells, _ in held)) if held else len(head)
        for i, head in enumerate(figures)
    ]
    click.echo(title)
    click.echo(_line(figures, widths, name))
    for cells, names in held:
        first, *others = names.split("\n")
        click.echo(_line(cells, widths, first))
        for other in others:
            click.echo(_line([""] * len(widths), widths, other))
    click.echo()


def _line(cells: Sequence[str], widths: Sequence[int], name: str) -> str:
    return "  ".join([*(cell.rjust(width) for cell, width in zip(cells, widths, strict=True)), name]).rstrip()
