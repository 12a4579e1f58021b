"""The public measurements that some tests need; they are not part of the repository."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

_FOLDER = Path(os.environ.get("RB_SHARED_DATA") or Path(__file__).parents[2].parent / "shared" / "data")


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """File name -> its path, or a skip that names the file."""

    def need(name: str) -> Path:
        path = _FOLDER / name
        if not path.is_file():
            pytest.skip(f"{name} is not there (looked in {_FOLDER}; RB_SHARED_DATA names another folder)")
        return path

    return need
