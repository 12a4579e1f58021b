"""Files of a public repository at one commit: from a clone that is there, or by HTTPS."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

MAX_FILE_BYTES = 64 << 20
"""A file that is larger is none of those that are read here."""
TIMEOUT_S = 60.0
RETRIES = 3
_RAW = "https://raw.githubusercontent.com"


class SourceError(ValueError):
    """A file that cannot be had; names the set, the file and the reason."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a set comes from."""

    repository: str
    """Owner and name on GitHub."""
    commit: str
    licence: str
    licence_file: str = "LICENSE"


class Files(Protocol):
    """What a set reads its files from."""

    def read(self, path: str) -> bytes:
        """The content of a file.

        Raises:
            SourceError: it cannot be had.
        """
        ...


@dataclass(frozen=True, slots=True)
class Clone:
    """A clone on this machine, bare or not; its work tree is not looked at."""

    folder: Path
    source: Source

    def read(self, path: str) -> bytes:
        """The content of a file at the commit."""
        found = _git(self.folder, "cat-file", "blob", f"{self.source.commit}:{path}")
        if found.returncode:
            said = found.stderr.decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else "git gives no reason"
            raise SourceError(f"{path}: not in {self.folder} at {self.source.commit} ({reason})")
        return found.stdout


@dataclass(frozen=True, slots=True)
class Download:
    """The same files by HTTPS, one by one."""

    source: Source
    client: httpx.Client

    def read(self, path: str) -> bytes:
        """The content of a file at the commit."""
        url = f"{_RAW}/{self.source.repository}/{self.source.commit}/{path}"
        content = bytearray()
        try:
            with self.client.stream("GET", url, follow_redirects=True) as response:
                response.raise_for_status()
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MAX_FILE_BYTES:
                        raise SourceError(f"{path}: {url} is larger than {MAX_FILE_BYTES >> 20} MiB")
        except httpx.HTTPError as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise SourceError(f"{path}: cannot be had ({told}); --from DIR reads it from a clone") from None
        return bytes(content)


def https_client() -> httpx.Client:
    """A client for `Download` that tries a connection again."""
    return httpx.Client(timeout=TIMEOUT_S, transport=httpx.HTTPTransport(retries=RETRIES))


def clone_of(source: Source, folders: Sequence[Path]) -> Clone:
    """The one among the folders that holds the source's commit.

    Raises:
        SourceError: none does.
    """
    for folder in folders:
        if _git(folder, "cat-file", "-e", f"{source.commit}^{{commit}}").returncode == 0:
            return Clone(folder, source)
    told = ", ".join(map(str, folders))
    raise SourceError(
        f"no clone of {source.repository} with commit {source.commit} in {told}; allowed is a folder that "
        f"`git clone https://github.com/{source.repository}` made"
    )


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        raise SourceError("--from needs git, which is not installed") from None
