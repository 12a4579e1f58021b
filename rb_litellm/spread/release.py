"""Which code runs here: results are the same bit for bit between processes that run the same."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from rb_litellm.version import __version__

_PACKAGE = Path(__file__).parents[1]
_DIGITS = 8


@cache
def release() -> str:
    """The package's version with a digest of its files: two checkouts may both call themselves 0.1.0."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(_PACKAGE)).encode() + b"\0" + path.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:_DIGITS]}"
