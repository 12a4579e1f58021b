"""Lua scripts: sent in full only to a server that does not have them yet."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError


class Script:
    """One script, of one file or of several in a row."""

    def __init__(self, *names: str) -> None:
        folder = files("rb_litellm.state.exchange.redis") / "scripts"
        self._source = "\n".join((folder / name).read_text("utf-8") for name in names)
        self._sha: str | None = None

    async def run(self, client: Any, keys: Sequence[str], args: Sequence[str | bytes]) -> Any:
        """The script's answer."""
        if self._sha is not None:
            try:
                return await client.evalsha(self._sha, len(keys), *keys, *args)
            except NoScriptError:
                self._sha = None  # the server was restarted or flushed, or it is another one
        reply = await client.eval(self._source, len(keys), *keys, *args)
        self._sha = sha1(self._source.encode(), usedforsecurity=False).hexdigest()
        return reply
