"""A prompt as the numbers that the trees read: its structure, and a linear model of its n-grams."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from rb_litellm.core.compiled.in_use import IN_USE, Loops
from rb_litellm.core.types import IntArray, Prompt
from rb_litellm.predictors.reading import lexicon
from rb_litellm.predictors.reading.lexicon import Floats
from rb_litellm.predictors.reading.structure import STRUCTURE, form, histograms, start_of, structure

MAX_CHARS = 6_000
"""Characters that are looked at: half from the start, half from the end, where the question stands."""
LIMIT = np.float32(4.0)
STRUCTURE_SCALE = np.float32(1.0 / np.sqrt(STRUCTURE))


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """Learned tables: what is common, what is rare, and what each n-gram says of K things."""

    idf: Floats
    """(WIDTH,) 0 for n-grams that training did not see often enough."""
    centre: Floats
    """(STRUCTURE,)"""
    spread: Floats
    table: Floats
    """(WIDTH, K)"""
    structure_table: Floats
    """(STRUCTURE, K)"""

    @property
    def width(self) -> int:
        """Features of one prompt."""
        return STRUCTURE + int(self.table.shape[1])

    def encode(self, prompts: Sequence[Prompt]) -> tuple[Floats, Floats]:
        """Features (R, width) and familiarity (R,) of R prompts."""
        texts = [clip(prompt.text) for prompt in prompts]
        contents = [text.encode("utf-8", "replace") for text in texts]
        return IN_USE.either(
            lambda loops: self.encode_by_loops(loops, prompts, texts, contents),
            lambda: self.encode_by_numpy(prompts, texts, contents),
        )

    def encode_by_numpy(
        self, prompts: Sequence[Prompt], texts: Sequence[str], contents: Sequence[bytes]
    ) -> tuple[Floats, Floats]:
        """`encode` for the parts of the prompts that are looked at, and these as UTF-8."""
        counted, read, familiarity = self.read_by_numpy(contents)
        plain = structure(prompts, texts, contents, counted)
        read += standard(plain, self.centre, self.spread) @ self.structure_table
        return np.concatenate([plain, read], axis=1), familiarity

    def encode_by_loops(
        self, loops: Loops, prompts: Sequence[Prompt], texts: Sequence[str], contents: Sequence[bytes]
    ) -> tuple[Floats, Floats]:
        """The same by compiled loops."""
        counted, read, familiarity = self.read_by_loops(loops, contents)
        sizes = np.array([(len(text), len(data)) for text, data in zip(texts, contents, strict=True)], float)
        forms = np.array([*map(form, prompts, texts)], dtype=np.float64)
        starts = np.array([*map(start_of, contents)], dtype=np.int64)
        features = np.empty((len(contents), self.width), dtype=np.float32)
        loops.describe(
            counted, sizes, forms, starts, self.centre, self.spread, self.structure_table, read, features
        )
        return features, familiarity

    def read_by_numpy(self, contents: Sequence[bytes]) -> tuple[IntArray, Floats, Floats]:
        """Of R texts: how often each byte occurs (R, 256), what n-grams say (R, K), and familiarity (R,)."""
        bag = lexicon.bags(contents)
        weights, familiarity = lexicon.weigh(bag, self.idf)
        return histograms(contents), lexicon.project(bag, weights, self.table), familiarity

    def read_by_loops(self, loops: Loops, contents: Sequence[bytes]) -> tuple[IntArray, Floats, Floats]:
        """The same; what the n-grams say differs by rounding, for it is summed in another order."""
        ends = np.array([*accumulate(len(content) + 2 for content in contents)], dtype=np.int64)
        data = np.frombuffer(lexicon.joined(contents), dtype=np.uint8)
        counted = np.zeros((len(contents), 256), dtype=np.int64)
        read = np.zeros((len(contents), self.table.shape[1]), dtype=np.float32)
        familiarity = np.zeros(len(contents), dtype=np.float32)
        idf, table = np.ascontiguousarray(self.idf), np.ascontiguousarray(self.table)
        loops.read_texts(data, ends, idf, table, counted, read, familiarity)
        return counted, read, familiarity

    def to_bytes(self) -> bytes:
        """As a NumPy archive without pickled objects."""
        file = io.BytesIO()
        np.savez_compressed(
            file,
            idf=self.idf.astype(np.float16),
            centre=self.centre,
            spread=self.spread,
            table=self.table.astype(np.float16),
            structure_table=self.structure_table,
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Encoder:
        """The opposite of `to_bytes`.

        Raises:
            ValueError, KeyError, OSError: not what `to_bytes` gives.
        """
        with np.load(io.BytesIO(content), allow_pickle=False) as told:
            made = cls(**{name: told[name].astype(np.float32) for name in cls.__slots__})
        outputs = made.table.shape[1:]
        expected = (
            (lexicon.WIDTH,),
            (STRUCTURE,),
            (STRUCTURE,),
            (lexicon.WIDTH, *outputs),
            (STRUCTURE, *outputs),
        )
        shapes = tuple(getattr(made, name).shape for name in cls.__slots__)
        if shapes != expected or not all(np.isfinite(getattr(made, name)).all() for name in cls.__slots__):
            raise ValueError(f"tables of shapes {shapes}; expected {expected}, all finite")
        return made


def standard(plain: Floats, centre: Floats, spread: Floats) -> Floats:
    """Structure (R, STRUCTURE) on the scale of a bag of n-grams: a row has a length of about 1."""
    # np.clip takes longer than both bounds, for one row.
    scaled = np.minimum(np.maximum((plain - centre) / spread, -LIMIT), LIMIT)
    return np.asarray(scaled * STRUCTURE_SCALE, dtype=np.float32)


def clip(text: str) -> str:
    """The start and the end of a long text, MAX_CHARS characters in all."""
    return text if len(text) <= MAX_CHARS else text[: MAX_CHARS // 2] + "\n" + text[-MAX_CHARS // 2 :]
