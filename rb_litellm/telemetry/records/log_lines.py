"""Log lines of ours as they leave: whatever names and errors are in them, nobody writes a line of its own.

Ids of deployments and calls, model names and texts of errors come from configurations, clients and servers;
an error's text may repeat an address with a password in it.
"""

from __future__ import annotations

import logging
import traceback

from rb_litellm.redaction import without_secrets

LOGGER = "rb_litellm"
MAX_LINE = 8_192
_FRAMES = 30


def safe_text(text: str) -> str:
    """The text without passwords of addresses, control characters written out, further lines indented."""
    text = without_secrets(text[: 2 * MAX_LINE])
    if len(text) > MAX_LINE:
        text = text[:MAX_LINE] + "..."
    if text.isprintable():
        return text
    return "\n  ".join(
        "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in line)
        for line in text.split("\n")
    )


class SafeLines(logging.Filter):
    """Lets every record pass, with a message that is safe to write; a traceback becomes a part of it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        try:
            record.msg, record.args = safe_text(record.getMessage()) + _trace(record), None
            # Whoever formats the record would write the text of the error as it is.
            record.exc_info, record.exc_text = None, None
        except Exception:  # noqa: BLE001  logging tells of records that cannot be formatted
            return True
        return True


def _trace(record: logging.LogRecord) -> str:
    """The traceback of the record's error; of a long one, its end, which says what it is."""
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    text = without_secrets("".join(traceback.format_exception(record.exc_info[1], limit=-_FRAMES))).rstrip()
    return "\n  " + safe_text(text if len(text) <= MAX_LINE else f"...{text[3 - MAX_LINE :]}")


def keep_lines_safe() -> None:
    """Have all records of our logger pass the filter. Idempotent."""
    logger = logging.getLogger(LOGGER)
    if not any(isinstance(one, SafeLines) for one in logger.filters):
        logger.addFilter(SafeLines())
