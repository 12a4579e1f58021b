"""LiteLLM's database is read where and how its URL says: TLS that is demanded is used, or it is an error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from rb_litellm.logs.sources.database_url import translated
from rb_litellm.logs.spend_logs import MAX_ROWS, SpendLogsError, read_spend_logs
from tests.logs.conftest import insert
from tests.logs.lifelike import plain
from tests.logs.postgres_server import PASSWORD, TABLE, USER, Server


def test_a_table_reads_as_a_file_of_its_rows(postgres: Server, tmp_path: Path) -> None:
    path = tmp_path / "logs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in plain(40)))
    from_file, from_table = read_spend_logs(str(path)).calls, read_spend_logs(postgres.url()).calls
    assert [call.call_id for call in from_table] == [call.call_id for call in from_file]
    for told, expected in zip(from_table, from_file, strict=True):
        # The column has milliseconds.
        assert told.e2e_s == pytest.approx(expected.e2e_s, abs=2e-3)
        assert told.body == expected.body
        assert (told.model, told.output_tokens) == (expected.model, expected.output_tokens)
        assert told.cost_usd == expected.cost_usd


def test_the_latest_rows_are_taken(postgres: Server) -> None:
    calls = read_spend_logs(postgres.url(), max_rows=5).calls
    assert [call.call_id for call in calls] == [
        call.call_id for call in read_spend_logs(postgres.url()).calls[-5:]
    ]


def test_the_latest_rows_are_found_by_the_index(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import psycopg

    asked = []
    execute = psycopg.ServerCursor.execute
    monkeypatch.setattr(
        psycopg.ServerCursor, "execute", lambda self, query: (asked.append(query), execute(self, query))[1]
    )
    read_spend_logs(postgres.url())
    with psycopg.connect(postgres.url()) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = [row[0] for row in connection.execute(psycopg.sql.SQL("EXPLAIN ") + asked[0])]
    assert "Index Scan Backward" in plan[0], plan


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ("schema=team", 10),
        ("schema=public&connection_limit=5&pool_timeout=10&pgbouncer=true&statement_cache_size=0", 40),
        ("options=-csearch_path%3Dteam", 10),
        ("application_name=me&connect_timeout=5", 40),
        ("sslmode=require", 40),
        ("sslmode=prefer", 40),
        ("sslmode=disable", 40),
    ],
)
def test_parameters_of_prisma_and_of_libpq_are_heeded(postgres: Server, query: str, calls: int) -> None:
    assert len(read_spend_logs(postgres.url(query)).calls) == calls


@pytest.mark.parametrize(
    "query",
    [
        "sslmode=verify-full&sslrootcert={0}",
        "sslmode=verify-ca&sslrootcert={0}",
        "sslaccept=strict&sslcert={0}",
    ],
)
def test_a_servers_certificate_is_verified(postgres: Server, query: str) -> None:
    good = query.format(quote(str(postgres.authority), safe=""))
    assert len(read_spend_logs(postgres.url(good)).calls) == 40
    with pytest.raises(SpendLogsError, match="certificate verify failed"):
        read_spend_logs(postgres.url(query.format(quote(str(postgres.stranger), safe=""))))


def test_a_certificate_for_another_name_is_refused(postgres: Server) -> None:
    query = f"sslmode=verify-full&sslrootcert={postgres.authority}"
    with pytest.raises(SpendLogsError, match="certificate"):
        read_spend_logs(postgres.url(query, host="127.0.0.1"))


def test_without_an_authority_the_systems_count(postgres: Server) -> None:
    with pytest.raises(SpendLogsError, match="certificate"):
        read_spend_logs(postgres.url("sslmode=verify-full"))


def test_the_connection_that_demands_tls_is_encrypted(postgres: Server) -> None:
    import psycopg

    with psycopg.connect(translated(postgres.url("sslmode=require&schema=team")).conninfo) as connection:
        assert connection.pgconn.ssl_in_use


def test_a_socket_is_found_by_prismas_parameter_and_by_libpqs_url(postgres: Server) -> None:
    socket = quote(str(postgres.folder), safe="")
    user = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}"
    for url in (
        postgres.url(f"host={postgres.folder}", host="nowhere.invalid"),
        f"postgresql://{user}@/postgres?host={socket}&port={postgres.port}",
        f"postgresql://{user}@{socket}:{postgres.port}/postgres",
    ):
        assert len(read_spend_logs(url).calls) == 40


def test_a_socket_cannot_be_encrypted(postgres: Server) -> None:
    with pytest.raises(SpendLogsError, match="demands TLS"):
        read_spend_logs(postgres.url(f"host={postgres.folder}&sslmode=require"))


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sslidentity=client.p12", "sslidentity is a PKCS #12 file"),
        ("sslaccept=maybe", "allowed are strict and accept_invalid_certs"),
        ("sslmode=sometimes", "sslmode"),
        ("sslcolour=blue", "sslcolour"),
        ("sslmode=disable&sslaccept=strict", "contradicts"),
    ],
)
def test_a_parameter_that_cannot_be_heeded_is_an_error(query: str, said: str) -> None:
    with pytest.raises(SpendLogsError, match=said.replace(".", r"\.")):
        read_spend_logs(f"postgresql://me:hidden-word@127.0.0.1:1/none?{query}")


def test_a_schema_without_the_table_is_named(postgres: Server) -> None:
    with pytest.raises(SpendLogsError, match=r"schema nobody of .*LiteLLM_SpendLogs lacks startTime"):
        read_spend_logs(postgres.url("schema=nobody"))


def test_a_wrong_password_is_not_told(postgres: Server) -> None:
    with pytest.raises(SpendLogsError) as error:
        read_spend_logs(postgres.url(password="hidden-word"))
    assert "hidden-word" not in str(error.value)
    assert f"localhost:{postgres.port}/postgres" in str(error.value)


@pytest.mark.parametrize(
    "rest", ["127.0.0.1:1/none", "host:port@x/none", "[::1/none", "127.0.0.1:1/none?sslmode=x"]
)
def test_no_password_is_told_whatever_is_wrong(rest: str) -> None:
    with pytest.raises(SpendLogsError) as error:
        read_spend_logs(f"postgresql://me:hidden-word@{rest}")
    assert "hidden-word" not in str(error.value)


def test_a_table_of_an_older_release_is_read(postgres: Server) -> None:
    import psycopg

    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA old")
        connection.execute(TABLE.format(schema="old"))
        for name in (
            "litellm_call_id",
            "status",
            "session_id",
            "proxy_server_request",
        ):
            connection.execute(f'ALTER TABLE old."LiteLLM_SpendLogs" DROP COLUMN "{name}"')
    gone = ("litellm_call_id", "status", "session_id", "proxy_server_request")
    rows = [{name: value for name, value in row.items() if name not in gone} for row in plain(6)]
    rows[0]["metadata"] = {"status": "failure"}
    insert(postgres.url(), rows, "old")
    read = read_spend_logs(postgres.url("schema=old"))
    assert len(read.calls) == 5
    assert read.report.left_out.total() == 1


MEASURED = """
import sys, time
from pathlib import Path
from rb_litellm.logs.spend_logs import read_spend_logs
started = time.perf_counter()
read = read_spend_logs(sys.argv[1], int(sys.argv[2]))
# Not `ru_maxrss`, in which a new program starts from the size of the one that started it.
told = dict(line.split(":", 1) for line in Path("/proc/self/status").open())
used = int(told["VmHWM"].split()[0]) / 1024
print(len(read.calls), round(time.perf_counter() - started, 1), round(used))
"""
MANY = 2_000_000


@pytest.mark.slow
@pytest.mark.parametrize("kept", [50_000, MAX_ROWS])
def test_a_table_of_two_million_rows_is_read_in_a_gigabyte(many: str, kept: int) -> None:
    told = subprocess.run(
        [sys.executable, "-c", MEASURED, many, str(kept)], capture_output=True, text=True, check=True
    )
    calls, seconds, mib = told.stdout.split()
    print(f"the latest {int(calls):,} of {MANY:,} rows in {seconds} s with {mib} MiB at most")
    assert int(calls) == kept
    assert int(mib) < 1000


@pytest.fixture(scope="module")
def many(postgres: Server) -> str:
    """The URL of a table of MANY calls with their prompts, made by the server itself."""
    import psycopg

    request = {"model": "qwen-7b", "messages": [{"role": "user", "content": "What is a ledger? " * 30}]}
    with psycopg.connect(postgres.url(), autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS many CASCADE")
        connection.execute("CREATE SCHEMA many")
        connection.execute(TABLE.format(schema="many"))
        connection.execute(
            """
            INSERT INTO many."LiteLLM_SpendLogs" (request_id, litellm_call_id, call_type, spend,
              prompt_tokens, completion_tokens, "startTime", "completionStartTime", "endTime",
              model, model_id, model_group, custom_llm_provider, api_base, metadata, cache_hit,
              status, proxy_server_request)
            SELECT 'req-' || n, 'call-' || n, 'acompletion', 0.0001, 200, 20 + n %% 300,
              at, at + interval '60 ms', at + (60 + 20 * (20 + n %% 300)) * interval '1 ms',
              'hosted_vllm/qwen-7b', 'small-' || n %% 4, 'qwen-7b', 'hosted_vllm', 'http://10.0.0.1/v1',
              '{"status": "success"}', 'False', 'success', %s
            FROM (SELECT n, timestamp '2026-11-01' + n * interval '400 ms' AS at
                  FROM generate_series(1, %s) AS n) AS moments
            """,
            (json.dumps(request), MANY),
        )
        connection.execute("ANALYZE")
    return postgres.url("schema=many")
