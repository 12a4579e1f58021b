"""A real PostgreSQL with LiteLLM's table of spend logs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.logs.lifelike import plain
from tests.logs.postgres_server import TABLE, Server, running


def insert(url: str, rows: Sequence[Mapping[str, Any]], schema: str = "public") -> None:
    """Put rows into the table, whose columns they name."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        names = list(rows[0])
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(schema, "LiteLLM_SpendLogs"), sql.SQL(", ").join(map(sql.Identifier, names))
        )
        with cursor.copy(query) as copy:
            for row in rows:
                copy.write_row([json.dumps(v) if isinstance(v, (dict, list)) else v for v in row.values()])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server whose schemas public and team each have the table, with 40 and 10 calls."""
    import psycopg

    with running() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE SCHEMA team")
            for schema in ("public", "team"):
                connection.execute(TABLE.format(schema=schema))
        insert(server.url(), plain(40))
        insert(server.url(), plain(10), "team")
        yield server
