"""Where this worker's feedback goes: the configured file, and the latest in memory."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from rb_litellm.config import FeedbackSettings, RouteBalanceSettings, SettingsError
from rb_litellm.logs.feedback import Feedback, append_feedback

MAX_RECENT = 512
"""Grades kept in memory."""


class FeedbackBox:
    """One per process; `settings` None is off."""

    def __init__(self) -> None:
        self.settings: FeedbackSettings | None = None
        self.recent: deque[Feedback] = deque(maxlen=MAX_RECENT)
        """The latest that this worker took, oldest first."""
        self._writing = threading.Lock()

    def keep(self, settings: FeedbackSettings, one: Feedback) -> None:
        """Append to the file, where there is one, then remember.

        Raises:
            FeedbackFull: the file is at its bound.
            OSError: it cannot be written.
        """
        if settings.path is not None:
            with self._writing, _alone(Path(settings.path)):
                append_feedback(Path(settings.path), settings.max_bytes, one)
        self.recent.append(one)


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other workers from writing between the look at the file's size and the line that is added."""
    try:
        import fcntl
    except ImportError:  # Windows, where a proxy has one worker
        yield
        return
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def check_feedback(settings: FeedbackSettings | None, where: str) -> None:
    """Whether the file can be kept where the setting says.

    Raises:
        SettingsError: its folder is missing or not writable, or the path is a folder itself.
    """
    if settings is not None and settings.path is not None:
        _check_file(settings.path, f"{where}.feedback.path")


def check_shadow_evaluation(settings: RouteBalanceSettings, where: str) -> None:
    """Whether shadow mode is on, and the file of verdicts can be kept where the setting says.

    Raises:
        SettingsError: it is not; says what is allowed.
    """
    if settings.shadow_evaluation is None:
        return
    if settings.mode != "shadow":
        raise SettingsError(
            f"{where}.shadow_evaluation: needs mode: shadow (value {settings.mode!r}); "
            "in active mode there is nothing that would have been chosen instead"
        )
    _check_file(settings.shadow_evaluation.path, f"{where}.shadow_evaluation.path")


def _check_file(name: str, where: str) -> None:
    path = Path(name)
    wrong = None
    if path.is_dir():
        wrong = "is a folder"
    elif not path.parent.is_dir():
        wrong = "stands in a folder that does not exist"
    elif not os.access(path if path.exists() else path.parent, os.W_OK):
        wrong = "cannot be written"
    if wrong:
        raise SettingsError(
            f"{where}: {wrong} (value {name!r}); allowed is a file in a folder that the proxy may write to"
        )
