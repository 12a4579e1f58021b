"""How many processes this machine has room for: by its cores and by its memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

BYTES_EACH = 512 * 2**20
"""Memory that a process is taken to need beside what is sent to it."""
_CGROUP = Path("/sys/fs/cgroup")
_MEMINFO = Path("/proc/meminfo")


def default_jobs(sent_bytes: int = 0, cgroup: Path = _CGROUP, meminfo: Path = _MEMINFO) -> int:
    """As many processes as there are cores for this one, and memory; at least 1.

    Each holds what is sent to it twice, as it came and as it is used.

    The variable PYTHON_CPU_COUNT, by which Python 3.13 itself is told, says how many cores there are. Without
    it those that the process may run on count, as `taskset` and a container's limits leave them.
    """
    return max(1, min(_cores(cgroup), _free_bytes(cgroup, meminfo) // (BYTES_EACH + 2 * sent_bytes)))


def _cores(cgroup: Path) -> int:
    told = os.environ.get("PYTHON_CPU_COUNT", "")
    if told.isdecimal() and int(told) > 0:
        return int(told)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdecimal() and period.strip().isdecimal():
        usable = min(usable, int(quota) // max(int(period), 1))
    return usable


def _free_bytes(cgroup: Path, meminfo: Path) -> int:
    free = 2**62
    if found := re.search(r"^MemAvailable:\s*(\d+) kB", _read(meminfo), re.MULTILINE):
        free = int(found[1]) * 1024
    limit, used = _read(cgroup / "memory.max").strip(), _read(cgroup / "memory.current").strip()
    if limit.isdecimal() and used.isdecimal():
        free = min(free, int(limit) - int(used))
    return free


def _read(path: Path) -> str:
    """Nothing where there is no such file: other systems tell these things in other ways."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""
