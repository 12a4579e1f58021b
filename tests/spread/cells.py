"""What the cells of these tests do. Other processes import it by name."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

from rb_litellm.spread.work import Work


def square(offset: int, cell: int) -> int:
    return cell * cell + offset


def fail_at_three(_: None, cell: int) -> int:
    if cell == 3:
        raise KeyError("three")
    return cell


def refuse_three(_: None, cell: int) -> int:
    if cell == 3:
        raise ValueError("three is not allowed; allowed are others")
    return cell


def die_at_three(_: None, cell: int) -> int:
    if cell == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return cell


def lock_at_three(_: None, cell: int) -> object:
    return threading.Lock() if cell == 3 else cell


def process(_: None, cell: int) -> int:
    return os.getpid()


def wait_for_ever(folder: Path, cell: int) -> None:
    """Leave the number of the process behind, and stay."""
    (folder / f"{os.getpid()}.pid").touch()
    threading.Event().wait()


@dataclass(frozen=True)
class Unreadable:
    """Something that other processes cannot make out."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return _refuse, ("not here",)


def _refuse(text: str) -> None:
    raise RuntimeError(text)


def of(function, shared=None) -> Work:
    return Work(function, shared, called)


def called(cell: int) -> str:
    return f"cell {cell}"


def owner(shared: list[object], cell: int) -> tuple[int, int]:
    """Which thread it is, and which copy of what is shared it has."""
    # So that each thread gets some of the cells.
    threading.Event().wait(0.02)
    return threading.get_ident(), id(shared)


def held() -> int:
    """How many works a worker holds."""
    from rb_litellm.spread.dask_cluster import _held

    return len(_held)
