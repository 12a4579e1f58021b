"""Notice that a predictor's folder has changed, and load it: whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable

from rb_litellm.predictors.trained.model import Predictor, PredictorError

MAX_FILES = 64
"""Files of a folder that are looked at; a predictor has five."""

_Mark = tuple[tuple[str, int, int, int], ...]


class Watch:
    """One folder, from the moment this is made on.

    The folder is looked at, not read: names, sizes and times of its files. Once they differ from what was
    loaded last and two looks have found them the same, the predictor is loaded and checked in full.
    `loaded` is called with it and may still refuse it by a PredictorError; `refused` is called, once per
    change, with why it is not used.
    """

    def __init__(
        self, path: str, loaded: Callable[[Predictor], None], refused: Callable[[PredictorError], None]
    ) -> None:
        self._path = path
        self._loaded = loaded
        self._refused = refused
        self._tried = self._last = self._mark()

    def look(self) -> None:
        """Look once; load what has changed. Blocks for as long as that takes: not for an event loop."""
        mark = self._mark()
        settled, self._last = mark == self._last, mark
        # A folder that is gone may be about to come back, one that still changes is being written.
        if not mark or not settled or mark == self._tried:
            return
        self._tried = mark
        try:
            self._loaded(Predictor.load(self._path))
        except PredictorError as error:
            self._refused(error)

    def _mark(self) -> _Mark:
        try:
            with os.scandir(self._path) as entries:
                found = [(entry.name, entry.stat()) for entry, _ in zip(entries, range(MAX_FILES))]  # noqa: B905
        except OSError:
            return ()
        return tuple(sorted((name, stat.st_ino, stat.st_mtime_ns, stat.st_size) for name, stat in found))
