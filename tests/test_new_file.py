"""A file is written whole or not at all, and a disk without room is told with the name of the file."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from rb_litellm.new_file import new_file
from rb_litellm.train.folder import write_files


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file of this process may have more than 64 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_is_written(tmp_path: Path) -> None:
    with new_file(tmp_path / "a.txt") as file:
        file.write("é")
    assert (tmp_path / "a.txt").read_text("utf-8") == "é"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(FileExistsError), new_file(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "a.txt").read_text() == "old"


@pytest.mark.usefixtures("no_room")
@pytest.mark.parametrize("size", [1_000, 1_000_000])
def test_of_a_file_without_room_nothing_stays(size: int, tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match=rf"'{tmp_path / 'a.txt'}'") as caught,
        new_file(tmp_path / "a.txt") as file,
    ):
        file.write("x" * size)
    assert caught.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_of_a_file_that_is_given_up_nothing_stays(error: type[BaseException], tmp_path: Path) -> None:
    def give_up() -> None:
        with new_file(tmp_path / "a.txt") as file:
            file.write("half")
            raise error

    with pytest.raises(error):
        give_up()
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_room")
def test_of_a_folder_without_room_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=rf"'{tmp_path / 'folder'}'") as caught:
        write_files(tmp_path / "folder", {"a": bytes(1_000)}, Path)
    assert caught.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())
