"""Log lines of ours as they leave: whatever names and errors are in them, nobody writes a line of its own.

Ids of deployments and calls, model names and texts of errors come from configurations, clients and servers.
"""

from __future__ import annotations

import logging

LOGGER = "rb_litellm"
MAX_LINE = 8_192


def safe_text(text: str) -> str:
    """The text with its control characters written out; further lines are indented."""
    if len(text) > MAX_LINE:
        text = text[:MAX_LINE] + "..."
    if text.isprintable():
        return text
    return "\n  ".join(
        "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in line)
        for line in text.split("\n")
    )


class SafeLines(logging.Filter):
    """Lets every record pass, with a message that is safe to write."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        try:
            record.msg, record.args = safe_text(record.getMessage()), None
        except Exception:  # noqa: BLE001  logging tells of records that cannot be formatted
            return True
        return True


def keep_lines_safe() -> None:
    """Have all records of our logger pass the filter. Idempotent."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(one, SafeLines) for one in logger.filters):
        logger.addFilter(SafeLines())
