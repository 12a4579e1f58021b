"""Token count of a single text, piece by piece from a cache: equal to tiktoken's, without releasing the GIL.

tiktoken releases Python's global lock while it counts. That takes three microseconds, but a thread that
is busy then keeps the lock for the next five milliseconds, and LiteLLM has such threads under load: the
event loop, and with it every stream, waits for each count. The standard library's regular expressions hold
the lock, and the pieces of ordinary text are few enough to be remembered.
"""

from __future__ import annotations

import re

import tiktoken

MAX_PIECES = 65_536
"""Pieces remembered; beyond it tiktoken is asked about each new one."""
MAX_PIECE = 32
"""Characters of the longest piece that is remembered."""

# The pattern of cl100k_base on ASCII, where its letters, digits and white space are these.
_PIECE = re.compile(
    r"'(?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])"
    r"|[^\r\nA-Za-z0-9]?[A-Za-z]+"
    r"|[0-9]{1,3}"
    r"| ?[^ \t\n\v\f\rA-Za-z0-9]+[\r\n]*"
    r"|[ \t\n\v\f\r]+\Z"
    r"|[ \t\n\v\f\r]*[\r\n]"
    r"|[ \t\n\v\f\r]+(?![^ \t\n\v\f\r])"
    r"|[ \t\n\v\f\r]"
)


class PieceCounts(dict[str, int]):
    """Tokens by piece of ASCII text, of those that were met: at most MAX_PIECES of MAX_PIECE characters."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        super().__init__()
        self._encoding = encoding

    def __missing__(self, piece: str) -> int:
        tokens = len(self._encoding.encode_ordinary(piece))
        if len(piece) <= MAX_PIECE and len(self) < MAX_PIECES:
            self[piece] = tokens
        return tokens

    def total(self, text: str) -> int:
        """Tokens of a text; of one beyond ASCII by tiktoken.

        Raises:
            ValueError, RuntimeError: tiktoken cannot read it.
        """
        if not text.isascii():
            return len(self._encoding.encode_ordinary(text))
        return sum(map(self.__getitem__, _PIECE.findall(text)))
