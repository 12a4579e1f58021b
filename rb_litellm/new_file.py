"""A file that is written whole or not at all, and never over one that is there."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Errors of a write that finds no room; they come without the name of the file."""


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """Text to be written to `path`; a block that does not end well, by Ctrl-C say, leaves no such file.

    Raises:
        OSError: it exists or cannot be written; has its name.
    """
    file = path.open("x", encoding="utf-8")
    try:
        with file:
            yield file
    except BaseException as error:
        # Half of it would pass for the whole.
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
