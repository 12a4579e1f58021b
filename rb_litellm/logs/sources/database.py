"""Spend logs out of LiteLLM's PostgreSQL database, the latest first, as frames of texts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rb_litellm.logs.rows import COLUMNS, NEEDED, TABLE, SpendLogsError, frame_of
from rb_litellm.logs.sources.database_url import DatabaseUrl, shown_url, translated, without_secrets

if TYPE_CHECKING:
    import polars as pl

_ROWS = 10_000
_CONNECT_S = 10


def frames_of_database(url: str) -> Iterator[pl.DataFrame]:
    """All rows by falling start time; the reader ends when it has enough.

    Raises:
        SpendLogsError: the database cannot be reached as the URL demands, or lacks the table.
    """
    try:
        import psycopg
    except ImportError:
        raise SpendLogsError("reading a database needs psycopg; install 'rb_litellm[train]'") from None
    told = translated(url)
    shown = shown_url(url)
    try:
        with _connect(told, shown) as connection:
            yield from _read(connection, told, shown)
    except (psycopg.Error, UnicodeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SpendLogsError(f"{shown}: {without_secrets(lines[0], url)}") from None


def _connect(told: DatabaseUrl, shown: str) -> Any:
    import psycopg

    further = {} if "connect_timeout=" in told.conninfo else {"connect_timeout": _CONNECT_S}
    connection = psycopg.connect(told.conninfo, **further)  # type: ignore[arg-type]
    if told.encrypted and not connection.pgconn.ssl_in_use:
        # libpq passes over sslmode where it connects by a socket of this machine.
        connection.close()
        raise SpendLogsError(
            f"{shown}: the URL demands TLS (sslmode), and a connection by a Unix socket has none; "
            "leave sslmode out, or name a host"
        )
    connection.read_only = True
    return connection


def _read(connection: Any, told: DatabaseUrl, shown: str) -> Iterator[pl.DataFrame]:
    from psycopg import sql

    # Times come as texts: in UTC, as LiteLLM writes them, and in ISO 8601.
    connection.execute("SET TIME ZONE 'UTC'")
    connection.execute("SET datestyle = 'ISO'")
    table = sql.Identifier(told.schema, TABLE) if told.schema else sql.Identifier(TABLE)
    # Older releases lack some columns; what is missing is read as absent.
    there = {
        str(name)
        for (name,) in connection.execute(
            "SELECT attname FROM pg_attribute "
            "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            (table.as_string(connection),),
        )
    }
    if missing := [name for name in NEEDED if name not in there]:
        place = f"schema {told.schema} of {shown}" if told.schema else shown
        raise SpendLogsError(f"{place}: table {TABLE} lacks {', '.join(missing)}{'' if there else _HINT}")
    columns = sql.SQL(", ").join(
        sql.SQL("{}::text").format(sql.Identifier(name)) if name in there else sql.SQL("NULL")
        for name in COLUMNS
    )
    # The first rows are wanted soon, the last perhaps never: by the index, not by sorting the whole table.
    connection.execute("SET cursor_tuple_fraction = 0.001")
    # The table's column, not the text of the same name that is selected: that one has no index.
    query = sql.SQL("SELECT {} FROM {} AS logged ORDER BY logged.{} DESC").format(
        columns, table, sql.Identifier("startTime")
    )
    number = 0
    # A named cursor is read piece by piece, not all at once into memory.
    with connection.cursor(name="routebalance") as cursor:
        cursor.execute(query)
        while rows := cursor.fetchmany(_ROWS):
            yield frame_of([(number + n, row, None) for n, row in enumerate(rows, start=1)])
            number += len(rows)


_HINT = "; no such table is there (Prisma's `schema=` in the URL says where it stands)"
