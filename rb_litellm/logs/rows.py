"""The columns of LiteLLM's spend logs that are read, and how a row of JSON becomes one of texts.

Every source gives frames of the same columns, all texts, whatever types the file or the database has: a
number is told as JSON tells it, an object as its JSON. `row` counts the rows of the source from 1; `at` is
where the row begins in a file of JSON lines, from where its long columns are fetched in the end; `broken`
says why a row cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

TABLE = "LiteLLM_SpendLogs"
NEEDED = ("startTime", "endTime", "model")
SHORT = (
    "request_id", "litellm_call_id", "call_type", "startTime", "endTime", "completionStartTime", "model",
    "model_group", "model_id", "api_base", "prompt_tokens", "completion_tokens",
    "spend", "cache_hit", "status", "session_id",
)  # fmt: skip
LONG = ("metadata", "messages", "proxy_server_request")
"""Columns that hold JSON: kept for the calls that are used alone."""
COLUMNS = (*SHORT, *LONG)


class SpendLogsError(ValueError):
    """Spend logs that cannot be read; names the source, what is wrong and what is allowed."""


def as_text(value: Any) -> str | None:
    """A value of a row as the frames hold it; None for null.

    Half a character, which JSON can write and no frame can hold, becomes `?`.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, default=str)
    return str(value)


def texts_of(row: Mapping[str, Any]) -> tuple[str | None, ...]:
    """The columns of a row of any types, in the order of COLUMNS."""
    return tuple(as_text(row.get(name)) for name in COLUMNS)


def frame_of(
    rows: Sequence[tuple[int, tuple[str | None, ...] | None, str | None]],
) -> pl.DataFrame:
    """A frame of rows that are in no file of JSON lines: (number, texts or None, why it is broken)."""
    import polars as pl

    nothing = (None,) * len(COLUMNS)
    # Column by column: polars takes several times as long for rows.
    columns = zip(*(texts or nothing for _, texts, _ in rows), strict=True) if rows else ((),) * len(COLUMNS)
    return pl.DataFrame(
        [
            pl.Series("row", [number for number, _, _ in rows], dtype=pl.Int64),
            pl.Series("at", [None] * len(rows), dtype=pl.Int64),
            pl.Series("broken", [broken for _, _, broken in rows], dtype=pl.String),
            *(
                pl.Series(name, column, dtype=pl.String)
                for name, column in zip(COLUMNS, columns, strict=True)
            ),
        ]
    )
