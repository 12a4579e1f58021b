"""A real PostgreSQL with LiteLLM's table of spend logs, where the machine has one."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rb_litellm.demo.processes import free_port

TABLE = """
CREATE TABLE "LiteLLM_SpendLogs" (
    request_id TEXT PRIMARY KEY, call_type TEXT, spend FLOAT, prompt_tokens INT, completion_tokens INT,
    "startTime" TIMESTAMP, "endTime" TIMESTAMP, "completionStartTime" TIMESTAMP, model TEXT, model_id TEXT,
    model_group TEXT, api_base TEXT, metadata JSONB, cache_hit TEXT, status TEXT, session_id TEXT,
    messages JSONB, proxy_server_request JSONB)
"""


def _binary(name: str) -> str | None:
    places = [*map(str, Path("/usr/lib/postgresql").glob("*/bin")), os.environ.get("PATH", "")]
    return shutil.which(name, path=os.pathsep.join(places))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database with LiteLLM's table."""
    initdb, server = _binary("initdb"), _binary("postgres")
    if initdb is None or server is None:
        pytest.skip("no PostgreSQL server is installed (initdb, postgres)")
    # PostgreSQL refuses to run as root.
    user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path("/tmp") / f"rb-postgres-{os.getpid()}"
    folder.mkdir()
    if user:
        shutil.chown(folder, "nobody", "nogroup")
    data, port = folder / "data", free_port()
    try:
        made = subprocess.run(
            [*user, initdb, "-D", str(data), "-U", "litellm", "--auth=trust"], capture_output=True, text=True
        )
        assert made.returncode == 0, made.stderr
        options = ["-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        process = subprocess.Popen([*user, server, "-D", str(data), *options], stderr=subprocess.DEVNULL)
        try:
            yield _ready(f"postgresql://litellm:secret@127.0.0.1:{port}/postgres")
        finally:
            process.terminate()
            process.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ready(url: str) -> str:
    import time

    import psycopg

    deadline = time.monotonic() + 60.0
    while True:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(TABLE)
                return url
        except psycopg.OperationalError:  # noqa: PERF203  it is waited for
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
