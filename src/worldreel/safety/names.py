"""Lists of names and words, and finding them in a text however it is cut.

A line of a list is a phrase, then conditions:

    iron man                      whoever writes "Ironman", "iron-man" or "i r o n man" means him
    behead*                       any word that begins so
    prince | + singer, guitar     only where one of these words stands in the text as well
    harry styles | - hair         but not where one of these does
    # a remark

Phrases are looked up with their blanks gone, so where the words of a text begin and end does not
matter; a *single* word put together from several ("pen is") counts only if one of the pieces is
no ordinary word. Exceptions ("killer whale", "bloody mary") are a list like the others: what they
cover is taken away before anything else is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from worldreel.safety.normalise import Reading, readings

__all__ = ["Entry", "Hit", "NameList", "entry"]

_PLAIN = re.compile(r"[a-z0-9]+")
_WIDEST = 7  # words of the longest phrase that is looked for
_SPELT = 24  # single letters that may spell one word
_START = 4  # signs of a phrase by which places of a text are passed over


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A phrase of a list: its `key` has no blanks; `stem` if any ending may follow."""

    key: str
    size: int
    kind: str = ""
    stem: bool = False
    needs: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()

    def holds(self, text: str) -> bool:
        """Whether its conditions are met in a text of folded words with blanks around each."""
        if any(_stands(cue, text) for cue in self.unless):
            return False
        return not self.needs or any(_stands(cue, text) for cue in self.needs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """Words `first` … `last` - 1 of a reading are the phrase `key` of the list `kind`."""

    kind: str
    key: str
    first: int
    last: int


def entry(line: str, *, kind: str = "") -> Entry | None:
    """The entry that a line of the list `kind` says, or None for remarks and empty lines."""
    phrase, _, conditions = line.partition("|")
    if phrase.lstrip().startswith("#") or not phrase.strip():
        return None
    needs: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    for condition in conditions.split("|"):
        cues = tuple(_phrase(cue) for cue in condition.strip()[1:].split(",") if cue.strip())
        if condition.strip().startswith("+"):
            needs += cues
        elif condition.strip().startswith("-"):
            unless += cues
    words = _phrase(phrase.strip().rstrip("*")).split()
    stem = phrase.strip().endswith("*")
    return Entry(
        key="".join(words), size=len(words), kind=kind, stem=stem, needs=needs, unless=unless
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class NameList:
    """Entries to look for, of one list or of several at once.

    `ordinary` are words that are never pieces of a cut-up one.
    """

    entries: tuple[Entry, ...]
    ordinary: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(
        cls, lines: Iterable[str], *, kind: str = "", ordinary: frozenset[str] = frozenset()
    ) -> NameList:
        """The list of these lines."""
        found = tuple(one for line in lines if (one := entry(line, kind=kind)) is not None)
        return cls(entries=tuple(e for e in found if e.key), ordinary=ordinary)

    @cached_property
    def _exact(self) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for one in self.entries:
            if not one.stem:
                found.setdefault(one.key, []).append(one)
        return found

    @cached_property
    def _stems(self) -> dict[int, dict[str, list[Entry]]]:
        """Stems by their number of words and their first signs."""
        found: dict[int, dict[str, list[Entry]]] = {}
        for one in self.entries:
            if one.stem:
                found.setdefault(one.size, {}).setdefault(one.key[:_START], []).append(one)
        return found

    @cached_property
    def _starts(self) -> frozenset[str]:
        """The first signs of every phrase: no other place of a text needs a look."""
        return frozenset(one.key[:_START] for one in self.entries)

    def find(self, reading: Reading, *, free: bool = False) -> Iterator[Hit]:
        """Every phrase in the reading, in order; `free` asks for no conditions."""
        words = [word.text for word in reading.words]
        text = f" {reading.text} "
        exact, stems = self._exact, self._stems
        for first, last, key in _windows(reading, self._starts):
            found = exact.get(key, ())
            if not found and key[-1] == "s" and len(key) > 4:
                found = exact.get(key[:-1], ())
            size = last - first
            begun = self._begun(key, size) if size in stems else ()
            if not begun and size == len(key) > 1:
                begun = self._begun(key, 1, more=3)  # spelt in single letters
            for one in (*found, *begun):
                if self._whole(one, words[first:last]) and (free or one.holds(text)):
                    yield Hit(kind=one.kind, key=one.key, first=first, last=last)

    def _begun(self, key: str, size: int, *, more: int = 99) -> Sequence[Entry]:
        """Stems of that many words that `key` begins with, `more` letters after them at most."""
        stems = self._stems.get(size, {})
        return [
            one
            for length in range(1, min(len(key), _START) + 1)
            for one in stems.get(key[:length], ())
            if key.startswith(one.key) and len(key) <= len(one.key) + more
        ]

    def _whole(self, one: Entry, words: Sequence[str]) -> bool:
        """Whether the words are no ordinary ones that only happen to stand side by side."""
        if len(one.key) < 4 and len(words) != one.size:
            return False
        if one.size > 1 or len(words) == 1:
            return True
        longer = [word for word in words if len(word) > 1]
        return not longer or not self.ordinary.issuperset(longer)


def _windows(reading: Reading, starts: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """Words `first` … `last` - 1 that may be a phrase, and their letters without blanks."""
    words = [word.text for word in reading.words]
    joined = "".join(words)
    place = 0
    for first, word in enumerate(words):
        begun = joined[place : place + _START]
        place += len(word)
        if (
            begun not in starts
            and begun[:3] not in starts
            and begun[:2] not in starts
            and begun[:1] not in starts
        ):
            continue
        last, letters, key = first, 0, ""
        while last < len(words) and last - first < _WIDEST + letters and letters <= _SPELT:
            letters += len(words[last]) == 1
            key += words[last]
            last += 1
            yield first, last, key


def _stands(cue: str, text: str) -> bool:
    """Whether the words of `cue` stand in `text`, the last one with any ending."""
    return f" {cue}" in text


def _phrase(text: str) -> str:
    """A phrase of a list as the plain reading has it."""
    if text.isascii() and "'" not in text and "`" not in text:
        return " ".join(_PLAIN.findall(text.lower()))  # the same, and a tenth of the time
    return readings(text)[0].text
