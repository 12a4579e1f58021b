"""`nox -s audit` ends well only where a database has said of every release that it knows of no weakness."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import pytest

pytest.importorskip("nox.sessions")  # Any folder of that name on the path would do for "nox".
NOXFILE = Path(__file__).parents[3] / "noxfile.py"
NOWHERE = "http://127.0.0.1:9/v1/query"
needs_pip_audit = pytest.mark.skipif(shutil.which("pip-audit") is None, reason="pip-audit is not on the path")


class SessionEnded(Exception):
    """What `session.error` ends a session with."""


class Session:
    """As much of nox's session as an audit asks for."""

    def __init__(self, folder: Path, *posargs: str) -> None:
        self.folder, self.posargs, self.told = folder, posargs, ""

    def create_tmp(self) -> str:
        return str(self.folder)

    def run(self, *words: str, success_codes: tuple[int, ...] = (0,)) -> None:
        done = subprocess.run(words, capture_output=True, text=True, timeout=120)
        if done.returncode not in success_codes:
            raise SessionEnded(done.stderr)

    def error(self, message: str) -> NoReturn:
        raise SessionEnded(message)

    def log(self, message: str) -> None:
        self.told += message


class Tells(Session):
    """A session in which pip-audit writes this report; None where it writes none."""

    report: dict[str, Any] | None = None

    def run(self, *words: str, success_codes: tuple[int, ...] = (0,)) -> None:
        if self.report is not None:
            (self.folder / "audit.json").write_text(json.dumps(self.report))


def audit(session: Session, file: str) -> None:
    spec = importlib.util.spec_from_file_location("noxfile", NOXFILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._audit(session, file)


def test_without_a_report_nothing_was_audited(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text('{"dependencies": []}')  # an earlier run's
    with pytest.raises(SessionEnded, match="NOT AUDITED: some"):
        audit(Tells(tmp_path), "some.txt")


def test_a_known_weakness_ends_the_session_and_is_named(tmp_path: Path) -> None:
    session = Tells(tmp_path)
    weak = {"name": "weak", "version": "1.0", "vulns": [{"id": "PYSEC-1"}]}
    session.report = {"dependencies": [{"name": "good", "version": "2.0", "vulns": []}, weak]}
    with pytest.raises(SessionEnded, match=r"weak 1\.0: PYSEC-1"):
        audit(session, "some.txt")


def test_a_clean_report_is_one(tmp_path: Path) -> None:
    session = Tells(tmp_path)
    session.report = {"dependencies": [{"name": "good", "version": "2.0", "vulns": []}]}
    audit(session, "some.txt")
    assert "no known weakness" in session.told


class _Advisories(BaseHTTPRequestHandler):
    """A database that knows of one weakness, of any release of `weak`."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = {"name": "weak", "ecosystem": "PyPI"}
        events = [{"introduced": "0"}, {"fixed": "2.0"}]
        known = {
            "id": "PYSEC-1",
            "summary": "it is weak",
            "affected": [{"package": package, "ranges": [{"type": "ECOSYSTEM", "events": events}]}],
        }
        answer = json.dumps({"vulns": [known]} if asked["package"]["name"] == "weak" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        server.shutdown()


def asking(folder: Path, url: str, *pins: str) -> tuple[Session, str]:
    (folder / "pins.txt").write_text("\n".join(pins))
    return Session(folder, "--vulnerability-service=osv", f"--osv-url={url}"), str(folder / "pins.txt")


@needs_pip_audit
def test_pip_audit_finds_a_weak_pin(tmp_path: Path, database: str) -> None:
    with pytest.raises(SessionEnded, match=r"weak 1\.0: PYSEC-1"):
        audit(*asking(tmp_path, database, "good==1.0", "weak==1.0"))


@needs_pip_audit
def test_pip_audit_finds_nothing_where_nothing_is_known(tmp_path: Path, database: str) -> None:
    session, pins = asking(tmp_path, database, "good==1.0")
    audit(session, pins)
    assert "no known weakness" in session.told


@needs_pip_audit
def test_a_database_that_does_not_answer_is_no_clean_file(tmp_path: Path) -> None:
    with pytest.raises(SessionEnded, match="NOT AUDITED"):
        audit(*asking(tmp_path, NOWHERE, "good==1.0"))
