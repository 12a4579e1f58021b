"""Files of a public repository: from a clone, or by HTTPS."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from rb_litellm.datasets import repository
from rb_litellm.datasets.repository import Download, Source, SourceError, clone_of


def git(folder: Path, *arguments: str) -> str:
    options = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", "-C", str(folder), *options, *arguments], capture_output=True, check=True, text=True
    ).stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> tuple[Path, Source]:
    """A clone whose second commit changes what the source's commit holds."""
    folder = tmp_path / "clone"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "rows.json").write_text("[1]")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "one")
    commit = git(folder, "rev-parse", "HEAD")
    (folder / "rows.json").write_text("[2]")
    git(folder, "commit", "-qam", "two")
    return folder, Source("owner/name", commit, "MIT")


def test_a_clone_is_read_at_the_pinned_commit_whatever_is_checked_out(clone, tmp_path):
    folder, source = clone
    assert clone_of(source, [tmp_path, folder]).read("rows.json") == b"[1]"


def test_a_file_that_the_commit_lacks_is_named(clone):
    folder, source = clone
    with pytest.raises(SourceError, match=r"^other\.json: not in .*clone at [0-9a-f]{40} \("):
        clone_of(source, [folder]).read("other.json")


def test_a_folder_without_the_commit_is_refused_with_what_is_allowed(clone):
    folder, _ = clone
    other = Source("owner/name", "0" * 40, "MIT")
    with pytest.raises(
        SourceError, match=r"no clone of owner/name with commit 0{40} in .*git clone https://"
    ):
        clone_of(other, [folder])


def downloading(answer: Callable[[httpx.Request], httpx.Response]) -> Download:
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return Download(Source("owner/name", "c" * 40, "MIT"), client)


def test_a_download_asks_for_the_file_at_the_pinned_commit():
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=b"[1]")

    assert downloading(answer).read("a/rows.json") == b"[1]"
    assert asked == [f"https://raw.githubusercontent.com/owner/name/{'c' * 40}/a/rows.json"]


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route", request=request)


@pytest.mark.parametrize("answer", [lambda _: httpx.Response(404), _unreachable])
def test_a_failed_download_names_the_file_and_the_way_round(answer):
    with pytest.raises(SourceError, match=r"^rows\.json: cannot be had \(.*\); --from DIR reads it"):
        downloading(answer).read("rows.json")


def test_a_download_is_bounded(monkeypatch):
    monkeypatch.setattr(repository, "MAX_FILE_BYTES", 2)
    with pytest.raises(SourceError, match="is larger than"):
        downloading(lambda _: httpx.Response(200, content=b"[1]")).read("rows.json")
