"""Rows that are wrong are left out, and a warning names the first of them: one bad row ends no run.

Where more than a share of all rows are wrong, and more than one, the file is taken to be of another form, and
that is an error.
"""

from __future__ import annotations

import logging

MAX_NAMED = 10
"""Wrong rows that one error or warning names."""
MOST_WRONG = 0.01
"""Share of all rows that may be wrong."""
_log = logging.getLogger("rb_litellm")


class WrongRows:
    """Of one reading. `raises` is the error of whoever reads, `most` the share that may be wrong."""

    def __init__(self, raises: type[ValueError], most: float = MOST_WRONG) -> None:
        self.count = 0
        self._raises = raises
        self._most = most
        self._named: list[str] = []

    def add(self, where: str, error: ValueError) -> None:
        """One more; `error` says what is wrong and what is allowed."""
        self.count += 1
        if len(self._named) < MAX_NAMED:
            self._named.append(f"{where}: {error}")

    def check(self, rows: int) -> None:
        """Warn of them beside so many rows that were read.

        Raises:
            ValueError: they are too many, or nothing else was read; of the kind that was given.
        """
        if not self.count:
            return
        told, read = "\n".join(self._named), rows + self.count
        if self.count > len(self._named):
            told += f"\n(and {self.count - len(self._named)} more)"
        share = f"{self.count} of {read} rows are wrong"
        if self.count > max(self._most * read, 1) or not rows:
            raise self._raises(f"{told}\n{share}; allowed are {self._most:.0%}, or one, which are left out")
        _log.warning("%s\n%s, and left out", told, share)
