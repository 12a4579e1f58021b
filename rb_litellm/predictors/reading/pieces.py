"""Tokens of many texts at once, in one pass of NumPy: as many as tiktoken counts, at a fraction of its time.

cl100k_base cuts a text into pieces by a pattern, then each piece into tokens. Nearly every piece of ordinary
text is one token. So the pieces of all texts are found together and looked up in a table of the
vocabulary; tiktoken is asked only about those that are not in it, once, and about texts beyond ASCII, whose
letters the cut here does not know. The counts are tiktoken's own, so they do not depend on the batch.

    pattern     '(?i:[sdmt]|ll|ve|re)  [^\\r\\n letter digit]?letters  digits{1,3}  " "?signs[\\r\\n]*
                spaces to the end  spaces with a line break  spaces but the last  a space
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, product
from string import ascii_letters, digits

import numpy as np
import numpy.typing as npt
import tiktoken

from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.types import BoolArray, IntArray
from rb_litellm.predictors.reading.hashing import CHUNK, Hashes, hash_runs, mixed
from rb_litellm.predictors.reading.piece_counts import PieceCounts

BITS = 20
"""Of the vocabulary's table: a tenth of its places are taken."""
TOKENS = np.uint32(255)
"""Bits of a place that hold the number of tokens; the others are a tag."""
TAKEN = np.uint32(256)
"""A bit that every tag has: a free place has none."""
_DIVIDER = 7
_MOST_UNKNOWN = 64
"""Pieces of a text that the table does not know, on average, up to which they are asked about one by one."""

_Bytes = npt.NDArray[np.uint8]
_Tags = npt.NDArray[np.uint32]

END, SIGN, LETTER, DIGIT, SPACE, TAB, BREAK = range(7)
_BLANK = (SPACE, TAB)
_WHITE = (SPACE, TAB, BREAK)
_APOSTROPHE = 39


def _kinds() -> bytes:
    kinds = bytearray([SIGN]) * 256
    for kind, members in (
        (END, b"\0"),
        (LETTER, ascii_letters.encode()),
        (DIGIT, digits.encode()),
        (SPACE, b" "),
        (TAB, b"\t\v\f"),
        (BREAK, b"\r\n"),
    ):
        for member in members:
            kinds[member] = kind
    return bytes(kinds)


KIND = _kinds()

_BEGINS, _ALONE, _FOLLOWS, _LEAVES, _TURNS = (1 << bit for bit in range(5))


def _rules() -> bytes:
    """What is known of a byte by its kind and that of the one before, at 8 * before + kind.

    _BEGINS: a piece begins here. _ALONE: one sign, which letters behind it take into their piece. _FOLLOWS:
    letters behind a sign, which begin a piece unless they take it. _LEAVES: the blank before goes with what
    begins here, or alone. _TURNS: a blank behind a line break.
    """
    rules = bytearray(256)
    for before, kind in product(range(7), repeat=2):
        alone = kind == SIGN and before not in (SIGN, SPACE)
        first = {
            END: True,
            SIGN: alone,
            LETTER: before not in (LETTER, SIGN, *_BLANK),
            DIGIT: before != DIGIT,
            SPACE: before not in _WHITE,
            TAB: before not in _WHITE,
            BREAK: before not in (*_WHITE, SIGN),
        }[kind]
        rules[8 * before + kind] = (
            _BEGINS * first
            + _ALONE * alone
            + _FOLLOWS * (kind == LETTER and before == SIGN)
            + _LEAVES * (before in _BLANK and kind in (SIGN, LETTER, DIGIT))
            + _TURNS * (before == BREAK and kind in _BLANK)
        )
    return bytes(rules)


_RULES = _rules()


class Vocabulary:
    """Which pieces are one token of cl100k_base."""

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self._encoding = encoding
        self._pieces = PieceCounts(encoding)
        # A place holds 23 other bits of the hash than those that chose it, and how many tokens the piece is:
        # together, so that another thread finds both or neither. Where two tokens of the vocabulary meet,
        # the more common one stays, which is the one with the lower number.
        self._table: _Tags = np.zeros(1 << BITS, dtype=np.uint32)
        known = _known(encoding)
        for first in range(0, len(known), CHUNK // 8):
            part = known[first : first + CHUNK // 8]
            sizes = np.fromiter(map(len, part), dtype=np.int64, count=len(part))
            data = np.frombuffer(b"".join(part), dtype=np.uint8)
            places, tags = _places(hash_runs(data, np.cumsum(sizes) - sizes))
            self._table[places] = tags | np.uint32(1)

    def count_alone(self, text: str) -> int:
        """Tokens of one text, sooner than `count`.

        Raises:
            ValueError, RuntimeError: tiktoken cannot read it.
        """
        return self._pieces.total(text)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text.

        Raises:
            ValueError, RuntimeError: tiktoken cannot read a text.
        """
        found = IN_USE.either(lambda loops: self._look_up(loops, texts), lambda: None)
        return self._count_all(texts) if found is None else self._asked_about(texts, *found)

    def _look_up(self, loops: Loops, texts: Sequence[str]) -> tuple[list[int], list[list[int]]] | None:
        """Tokens of each text without unknown pieces, and these (see `text_loops.count_pieces`).

        None where they are many. Texts that are not plain are left out.
        """
        plain = [text if _is_plain(text) else "" for text in texts]
        data = np.frombuffer("".join((*plain, "\0")).encode("ascii"), dtype=np.uint8)
        counts = np.zeros(len(texts), dtype=np.int64)
        unknown = np.empty((_MOST_UNKNOWN * len(texts), 5), dtype=np.int64)
        ends = np.array([*accumulate(map(len, plain))], dtype=np.int64)
        missing = loops.count_pieces(data, ends, self._table, counts, unknown)
        return None if missing < 0 else (counts.tolist(), unknown[:missing].tolist())

    def _asked_about(
        self, texts: Sequence[str], counts: list[int], unknown: Sequence[Sequence[int]]
    ) -> list[int]:
        """Tokens of each text, from what `_look_up` gives."""
        for row, text in enumerate(texts):
            if not _is_plain(text):
                counts[row] = self.count_alone(text)
        for row, begin, stop, place, tag in unknown:
            tokens = self._pieces[texts[row][begin:stop]]
            counts[row] += tokens
            if not self._table[place] and tokens <= TOKENS:
                self._table[place] = tag | tokens
        return counts

    def _count_all(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, by NumPy."""
        counts = [0] * len(texts)
        chunk: list[int] = []
        size = 0
        for row, text in enumerate(texts):
            if not _is_plain(text):
                counts[row] = self.count_alone(text)
            elif text:
                if size + len(text) > CHUNK:
                    self._count(texts, chunk, counts)
                    chunk, size = [], 0
                chunk.append(row)
                size += len(text)
        self._count(texts, chunk, counts)
        return counts

    def _count(self, texts: Sequence[str], rows: Sequence[int], counts: list[int]) -> None:
        """Fill in the counts of the given rows, which hold ASCII."""
        if not rows:
            return
        joined = "\0".join(("", *(texts[row] for row in rows), "\0\0")).encode("ascii")
        data = np.frombuffer(joined, dtype=np.uint8)
        kind = np.frombuffer(joined.translate(KIND), dtype=np.uint8)
        at = np.flatnonzero(_begins(joined, data, kind))
        places, tags = _places(hash_runs(data, at))
        first = kind.take(at)
        ends = first == END
        found = self._table.take(places)
        tokens = (found & TOKENS).astype(np.int64)
        tokens[ends] = 0
        # Digits go by threes, and up to three are always one token.
        numbers = np.flatnonzero(first == DIGIT)
        tokens[numbers] = (at.take(numbers + 1) - at.take(numbers) + 2) // 3
        unknown = np.flatnonzero(((found ^ tags) > TOKENS) & (first != END) & (first != DIGIT))
        if unknown.size:
            begins, stops = at.take(unknown).tolist(), at.take(unknown + 1).tolist()
            asked = self._asked([joined[begin:stop] for begin, stop in zip(begins, stops, strict=True)])
            tokens[unknown] = asked
            self._remember(places.take(unknown), tags.take(unknown), asked)
        sums = np.add.reduceat(tokens, np.flatnonzero(ends)[: len(rows)])
        for row, count in zip(rows, sums.tolist(), strict=True):
            counts[row] = count

    def _asked(self, pieces: Sequence[bytes]) -> IntArray:
        """Tokens of each piece, none of them digits."""
        tokens = np.zeros(len(pieces), dtype=np.int64)
        # Read as one text, with a digit between any two: digits join nothing, and no piece holds any. Only
        # of white space the last blank would be parted from the rest.
        plain = [k for k, piece in enumerate(pieces) if not (piece[:1].isspace() and piece[-1:].isspace())]
        if plain:
            text = (b"%d" % _DIVIDER).join([b"", *(pieces[k] for k in plain), b""]).decode("ascii")
            told = np.array(self._encoding.encode_ordinary(text))
            tokens[plain] = np.diff(np.flatnonzero(told == told[0])) - 1
        if len(plain) < len(pieces):
            for k in set(range(len(pieces))).difference(plain):
                tokens[k] = self.count_alone(pieces[k].decode("ascii"))
        return tokens

    def _remember(self, places: IntArray, tags: _Tags, tokens: IntArray) -> None:
        """Not ask again about these pieces, where their places are free: the table never grows."""
        free = np.flatnonzero((self._table.take(places) == 0) & (tokens <= TOKENS))
        self._table[places[free]] = tags[free] | tokens[free].astype(np.uint32)


def _is_plain(text: str) -> bool:
    """ASCII, and nothing of what a hash leaves out."""
    return text.isascii() and "\0" not in text


def _known(encoding: tiktoken.Encoding) -> list[bytes]:
    """All tokens of ASCII, the least common first."""
    tokens = []
    for number in reversed(range(encoding.max_token_value + 1)):
        try:
            token = encoding.decode_single_token_bytes(number)
        except KeyError:  # Numbers that stand for nothing.
            continue
        if token.isascii():
            tokens.append(token)
    return tokens


def _places(hashes: Hashes) -> tuple[IntArray, _Tags]:
    """Where to look in the table, and the tag that is there if the hash is known."""
    spread = mixed(hashes)
    tags: _Tags = (spread >> np.uint64(8)).astype(np.uint32) & ~TOKENS | TAKEN
    return (spread >> np.uint64(64 - BITS)).astype(np.int64), tags


def _begins(joined: bytes, data: _Bytes, kind: _Bytes) -> BoolArray:
    """Where a piece begins, (B,), in texts that stand between bytes of 0; each of those is a piece too.

    Here a number is one piece, however long.
    """
    pairs = kind.copy()
    pairs[1:] += kind[:-1] << 3
    told = np.frombuffer(pairs.tobytes().translate(_RULES), dtype=np.uint8)
    alone = (told & _ALONE) != 0
    begins: BoolArray = (told & _BEGINS) != 0
    begins[1:] |= ((told[1:] & _FOLLOWS) != 0) > alone[:-1]
    begins[:-1] |= (told[1:] & _LEAVES) != 0
    _begin_in_white(begins, kind, np.flatnonzero(told & _TURNS))
    _begin_after_contractions(begins, joined, kind, np.flatnonzero(alone & (data == _APOSTROPHE)))
    return begins


def _begin_in_white(begins: BoolArray, kind: _Bytes, at: IntArray) -> None:
    """White space goes as one piece up to its last line break, or to the end of the text.

    So a blank behind a line break, `at` (T,), begins a piece only where no other break or end follows.
    """
    if not at.size:
        return
    others = np.flatnonzero((kind != SPACE) & (kind != TAB))
    followed = kind.take(others.take(np.searchsorted(others, at)))
    more = (followed == BREAK) | (followed == END)
    begins[at[~more]] = True
    for begin in at[more].tolist():
        before = begin - 1
        while kind[before] == BREAK:
            before -= 1
        # Line breaks that belong to a sign are no part of it.
        begins[begin] = kind[before] == SIGN


def _begin_after_contractions(begins: BoolArray, joined: bytes, kind: _Bytes, apostrophes: IntArray) -> None:
    """'s, 'll and their like go alone, whatever letters follow."""
    for at in apostrophes.tolist():
        two = joined[at + 1 : at + 3].lower()
        end = at + 2 if two[:1] in (b"s", b"d", b"m", b"t") else at + 3 if two in (b"ll", b"ve", b"re") else 0
        if end and kind[end] == LETTER:
            begins[end] = True
