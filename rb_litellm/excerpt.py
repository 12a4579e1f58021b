"""Values and names of others, cut where they are long."""

from __future__ import annotations

from hashlib import blake2b

_MOST = 60
"""Characters of a value."""
MAX_NAME = 256
"""Characters of a name that is kept."""
_HEAD = 64


def excerpt(value: object) -> str:
    """A refused value as a message shows it: all of a short one, the beginning of a long one."""
    text = repr(value)
    return text if len(text) <= _MOST else text[: _MOST - 3] + "..."


def kept_name(name: str) -> str:
    """A name that a client may have made up, as it is kept: no longer than MAX_NAME.

    Of a longer one both ends stay, which tell a provider and a model, and a digest of the whole between them.
    """
    if len(name) <= MAX_NAME:
        return name
    digest = blake2b(name.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return f"{name[:_HEAD]}~{digest}~{name[_HEAD + len(digest) + 2 - MAX_NAME :]}"
