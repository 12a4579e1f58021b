"""Which model of the table a name means, however it is written: with provider, vendor, date, quantisation.

A name is taken apart into words and numbers. An entry fits where all its own words stand in the name; of
several the most specific one is taken. What is left over says how sure that is: nothing, or words that
change nothing (`instruct`, a quantisation), a date, another version, or a derived model. Of a version that
is not in the table the newest one before it is taken (`gemini-3-pro`: gemini-2.5-pro).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Literal

from rb_litellm.predictors.default.name_forms import plain, quantised, segments, tuned_from, words
from rb_litellm.predictors.default.table import Entry, entries

How = Literal["name", "quantised", "dated", "derived", "version", "unknown"]
CERTAINTY: dict[How, float] = {
    "name": 1.0,
    "quantised": 0.95,
    "dated": 0.9,
    "derived": 0.6,
    "version": 0.5,
    "unknown": 0.0,
}
_SIZE = re.compile(r"e?\d+(?:\.\d+)?b$|\d+x\d+(?:\.\d+)?b$|\d{2,3}m$")
_SAME_SIZE = 0.08
"""Share by which a size in a name may differ from the table's: 7b is said of 7.6 billion parameters."""
_EXPERTS = re.compile(r"\d+e$")
_MARK = re.compile(r"([a-z])(\d+)$")
"""A version behind a letter: v3, r1, k2, o3."""
_LIKE = 0.85
"""Likeness from which a word that is in no name is a slip of the pen."""
_SLIPS = 2
"""Words that are mended,"""
_FOLDERS = 2
"""and folders that are looked at: a request may bring a name, and nothing of it may take long."""


def _words(text: str) -> list[str]:
    return text.split()


_OPTIONAL = frozenset({"instruct", "chat", "it", "hf", "inst", "instruction"})
"""Words of an entry that a name may leave out."""
_NOISE = _OPTIONAL | frozenset(
    _words(
        "meta latest free instant versatile online maas databricks sft dpo text the beta stable default "
        "model exp preview turbo lora v1 amazon api tuned hosted 32k 16k 8k 128k 4k 1m 200k 100k 18k fast "
        "vision together togetherai sambanova hyperbolic fireworks groq unsloth multimodal high low nvidia "
        "openai anthropic google cohere zai ai21 xai microsoft mistralai ibm azure bedrock "
        "2048 4096 8192 16384 32768 65536 131072"
    )
)
"""Words of a name that change little of what a model can do."""
_ABLER = frozenset(_words("pro plus thinking reasoning"))
"""Words that make another model of it, which is no lesser one."""
_VARIANTS = frozenset(
    _words(
        "mini nano micro lite flash ultra super coder code math distill large small medium max vl omni audio "
        "embedding embed base haiku sonnet opus rerank guard tts image tiny next scout maverick moe"
    )
)
"""Words that make another model of it."""
_AT_LEAST: Mapping[str, str] = {
    "claude-3": "claude-3-haiku",
    "claude-4": "claude-sonnet-4",
    "claude-5": "claude-sonnet-4-5",
    "claude-opus-4-5": "claude-sonnet-4-5",
    "nova-premier": "nova-pro",
}
"""Models that are not in the table, and the ablest of the same maker there, which is no abler."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name was taken for."""

    entry: Entry | None
    certainty: float
    """From 0, nothing known, to 1."""
    how: How


@dataclass(frozen=True, slots=True)
class _Name:
    """One name of an entry."""

    entry: Entry
    own: Counter[str]
    """The words that a name must hold."""
    line: Counter[str]
    """These without version and date: what all versions have in common."""
    family: str
    """The first of them."""
    version: tuple[int, ...]
    bare: bool
    """Whether the entry's name tells a size and this one does not, such as Ollama's `qwen2.5`."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """An entry that a name was taken for, and the version that its own name tells."""

    entry: Entry
    how: How
    version: tuple[int, ...]


@lru_cache(maxsize=4096)
def resolve(name: str) -> Resolved:
    """The entry of the table that `name` means, how sure that is, and what it rests on."""
    base = tuned_from(name)
    own, *folders = segments(base or name)
    fit, most = _fit(own), CERTAINTY["derived"] if base else 1.0
    if fit is None or fit.how == "derived":
        corrected = _fit(_corrected(own))
        if corrected is not None and (fit is None or corrected != fit):
            fit, most = corrected, CERTAINTY["derived"]
    if fit is None and not _sizes(words(plain(own))):
        # A folder that is named by its model, such as `/models/qwen2.5-7b-instruct/merged`.
        held = (_fit(folder) for folder in folders[:_FOLDERS] if len(words(plain(folder))) > 1)
        fit, most = next((each for each in held if each is not None), None), CERTAINTY["derived"]
    if fit is None:
        return Resolved(None, 0.0, "unknown")
    if CERTAINTY[fit.how] > most:
        return Resolved(fit.entry, CERTAINTY["derived"], "derived")
    return Resolved(fit.entry, CERTAINTY[fit.how], fit.how)


def family(name: str) -> str:
    """The first word of a name that is no provider and no noise, such as `qwen` or `claude`."""
    for word in words(plain(segments(tuned_from(name) or name)[0])):
        if word.isalpha() and len(word) > 1 and word not in _NOISE:
            return word
    return ""


def predecessors(name: str, billions: float) -> list[Entry]:
    """Entries of a family that one of this name and size is no lesser than: no larger, and older versions.

    None unless the name tells a later version than all that the table has of the family.
    """
    listed = words(plain(segments(tuned_from(name) or name)[0]))
    first = family(name)
    if not first or _VARIANTS & set(listed):
        return []
    plainly = [
        its
        for its in _table()
        if its.family == first and len(its.line - Counter(_sizes(list(its.line)))) == 1
    ]
    version = _version(_parts(listed), first, ())
    if not version or any(its.version >= version for its in plainly):
        return []
    most = billions * (1.0 + _SAME_SIZE)
    return [its.entry for its in plainly if its.entry.billions and its.entry.billions <= most]


def _fit(segment: str) -> _Fit | None:
    told = plain(segment)
    listed = words(told)
    found = _by_all_words(listed, fewer_bits=quantised(told))
    if found is not None and found.how != "version":
        return found
    later = _by_line(_parts(listed))
    return later if later is not None and (found is None or later.version > found.version) else found


def _by_all_words(listed: Sequence[str], *, fewer_bits: bool) -> _Fit | None:
    """The most specific entry whose own words all stand in the name."""
    told, parts = Counter(listed), _parts(listed)
    first = next((part for part in parts if part in _by_family() and part not in _NOISE), "")
    best: tuple[tuple[int, bool, int, int], _Fit] | None = None
    for at, name in _met(parts):
        if not name.own <= told or not _in_order(name, parts):
            continue
        left = told - name.own
        how = _how(name, frozenset(left), fewer_bits)
        if how == "unknown" or (how == "derived" and _taught_by(name, first)):
            continue
        # The most specific one; among equals the one that leaves least over, then the earlier one.
        rank = (name.own.total(), CERTAINTY[how] >= 0.9, -left.total(), -at)
        if best is None or rank > best[0]:
            best = rank, _Fit(name.entry, how, name.version)
    return None if best is None else best[1]


def _taught_by(name: _Name, first: str) -> bool:
    """Whether a model of the family `first` only names another one, of closed weights: it learned from what
    that one says (`alpaca-farm-ppo-sim-gpt4-20k`), and does not derive from it."""
    return name.entry.billions is None and name.family != first


def _in_order(name: _Name, parts: Sequence[str]) -> bool:
    """Whether a name tells the version of an entry, and not its numbers the other way round (`gpt-5.4`)."""
    told = _version(parts, name.family, name.line)
    return not told or told[: len(name.version)] == name.version


def _how(name: _Name, left: frozenset[str], fewer_bits: bool) -> How:
    left = left - _NOISE
    if left & _VARIANTS or not all(_same_size(name.entry, word) for word in left):
        return "unknown"
    abler = left & _ABLER
    if abler and name.bare:
        return "unknown"
    left = frozenset(word for word in left - abler if not _SIZE.match(word) and not _EXPERTS.match(word))
    numbers = {word for word in left if word.isdigit()}
    marks = {word for word in left if _MARK.match(word)}
    if left - numbers - marks and len(name.own) == 1:
        # A family's name alone says nothing of what was made of it.
        return "unknown"
    if marks or any(len(number) < 3 for number in numbers):
        return "version"
    if left - numbers or abler:
        return "derived"
    if numbers:
        return "dated"
    return "quantised" if fewer_bits else "name"


def _by_line(parts: Sequence[str]) -> _Fit | None:
    """The newest entry of the longest line that stands in the name, of no later version than the name's."""
    told = Counter(part for part in parts if not part.isdigit())
    sized = bool(_sizes(parts))
    best: tuple[tuple[int, float, tuple[int, ...]], _Fit] | None = None
    for _, name in _met(parts, beyond=True):
        if not name.line <= told or not _leaves_little(name, frozenset(told - name.line)):
            continue
        version = _version(parts, name.family, name.line)
        if not _may_follow(name, version, sized):
            continue
        rank = name.line.total(), name.entry.released, name.version
        if best is None or rank > best[0]:
            best = rank, _Fit(name.entry, "version", name.version)
    return None if best is None else best[1]


def _leaves_little(name: _Name, left: frozenset[str]) -> bool:
    left = left - _NOISE
    if left & _VARIANTS or not all(_same_size(name.entry, word) for word in left):
        return False
    more = {word for word in left - _ABLER if not _SIZE.match(word) and not _EXPERTS.match(word)}
    return not more or name.line.total() > 1


def _may_follow(name: _Name, version: tuple[int, ...], sized: bool) -> bool:
    alone = name.line.total() == 1
    if not version:
        # `claude-sonnet`: the newest one; but many versions have 7b.
        return not alone and not sized
    if not name.version:
        return not alone
    # A family's name, or a size, tells little of a much later generation.
    near = version[0] - name.version[0] <= 1
    return name.version <= version and (near or not (alone or sized))


def _version(parts: Sequence[str], after: str, line: Collection[str]) -> tuple[int, ...]:
    """The first numbers behind a word with nothing but words of the line between; empty without any."""
    found: list[int] = []
    for part in parts[parts.index(after) + 1 :]:
        if part.isdigit() and len(part) < 3:
            found.append(int(part))
        elif found or (part not in line and part not in _NOISE):
            break
    return tuple(found)


def _parts(listed: Sequence[str]) -> list[str]:
    """Words of a name with versions apart from the letter before them, and without a `v`."""
    parts: list[str] = []
    for word in listed:
        mark = _MARK.match(word)
        parts += [word] if mark is None else [mark[2]] if mark[1] == "v" else [mark[1], mark[2]]
    return parts


def _sizes(listed: Sequence[str]) -> list[str]:
    return [word for word in listed if _SIZE.match(word)]


def _same_size(entry: Entry, word: str) -> bool:
    """Whether a word is no size, or that of the entry: of all parameters, or of those active per token."""
    if not _SIZE.match(word):
        return True
    told = float(word[:-1]) / 1000.0 if word.endswith("m") else _billions(word)
    return any(
        size and abs(told / size - 1.0) <= _SAME_SIZE for size in (entry.billions, entry.active_billions)
    )


def _billions(word: str) -> float:
    product = 1.0
    for factor in word.strip("eb").split("x"):
        product *= float(factor)
    return product


def _corrected(segment: str) -> str:
    """A name with slips of the pen mended: `gpt-4o-minni`. The first letter is taken to be right."""
    strange = [word for word in re.findall(r"[a-z]{4,}", segment) if word not in _vocabulary()]
    for word in strange[:_SLIPS]:
        near = [known for known in _by_letter()[word[0]] if abs(len(known) - len(word)) <= 1]
        for known in get_close_matches(word, near, 1, _LIKE):
            segment = segment.replace(word, known)
    return segment


@lru_cache(maxsize=1)
def _by_letter() -> Mapping[str, Sequence[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for word in sorted(_vocabulary()):
        if len(word) > 2:
            found[word[0]].append(word)
    return found


@lru_cache(maxsize=1)
def _vocabulary() -> frozenset[str]:
    """All words that names are made of."""
    known = (word for name in (*_table(), *_beyond()) for word in name.own)
    return _NOISE | _VARIANTS | _ABLER | {word for word in known if word.isalpha()}


@lru_cache(maxsize=1)
def _table() -> Sequence[_Name]:
    """Each entry once per name."""
    return [_named(name, entry) for entry in entries() for name in (entry.name, *entry.aliases)]


def _met(parts: Sequence[str], *, beyond: bool = False) -> Iterator[tuple[int, _Name]]:
    """Names of the table, with their places in it, whose first word is among the parts."""
    for part in dict.fromkeys(parts):
        yield from _by_family().get(part, ())
        if beyond:
            yield from ((-1, name) for name in _beyond() if name.family == part)


@lru_cache(maxsize=1)
def _by_family() -> Mapping[str, Sequence[tuple[int, _Name]]]:
    found: defaultdict[str, list[tuple[int, _Name]]] = defaultdict(list)
    for at, name in enumerate(_table()):
        found[name.family].append((at, name))
    return found


@lru_cache(maxsize=1)
def _beyond() -> Sequence[_Name]:
    """Models beyond the table."""
    by_name = {name: entry for entry in entries() for name in (entry.name, *entry.aliases)}
    return [_named(name, by_name[known]) for name, known in _AT_LEAST.items()]


def _named(name: str, entry: Entry) -> _Name:
    listed = [word for word in words(plain(name)) if word not in _OPTIONAL]
    parts = _parts(listed)
    line = Counter(part for part in parts if not part.isdigit())
    first = next(part for part in parts if not part.isdigit())
    bare = bool(_sizes(words(plain(entry.name)))) and not _sizes(listed)
    return _Name(entry, Counter(listed), line, first, _version(parts, first, line), bare)
