"""Ideas that are the same in every language: "kill", "blood", "fake", "minority".

`data/concepts.txt` names some 70 of them with words of seven languages each. What the heads learn
of ideas (and of two together) in one language holds in the others. Which columns are looked at
depends on the language of the text, guessed from its small words: "tot" is dead in German only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from worldreel.safety.data import LANGUAGES, lines
from worldreel.safety.normalise import is_east, readings

__all__ = ["concepts", "found", "guess", "small"]

_SMALL = {
    "en": "the a an of in on at and with is are to from by his her their for into over that who as"
    " it while",
    "es": "el la los las un una unos del en y con que de por para su se al como sobre lo es muy"
    " sin",
    "fr": "le la les un une des du dans et avec qui que de pour sur au aux son sa ses est en par il"
    " elle sans se",
    "de": "der die das ein eine einen einem einer und mit im am auf den dem des von zu ist wird in"
    " sich fur als er sie",
    "pt": "o a os as um uma uns do da dos das em no na nos nas e com que de por para seu sua ao se"
    " como sem numa num",
}
_WORDS = {language: frozenset(words.split()) for language, words in _SMALL.items()}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Column:
    """The words of one language: whole ones, beginnings, phrases; each names its ideas."""

    whole: dict[str, tuple[str, ...]]
    stems: dict[str, tuple[str, ...]]
    phrases: dict[str, tuple[str, ...]]

    @cached_property
    def starts(self) -> dict[str, tuple[str, ...]]:
        """Phrases by the first word, or the first sign of those written without blanks."""
        found: dict[str, tuple[str, ...]] = {}
        for phrase in self.phrases:
            first = phrase.split()[0] if phrase[0] == " " else phrase[0]
            found[first] = (*found.get(first, ()), phrase)
        return found


def concepts() -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each idea, and its words as they are listed by language; "*" ends the beginning of one."""
    for line in lines("concepts"):
        if line.startswith("#") or ":" not in line:
            continue
        idea, _, told = line.partition(":")
        cells = zip(LANGUAGES, told.split("|"), strict=True)
        yield idea, {name: [item.strip() for item in cell.split(",")] for name, cell in cells}


@lru_cache(maxsize=1)
def _columns() -> dict[str, _Column]:
    columns: dict[str, tuple[dict[str, tuple[str, ...]], ...]] = {
        language: ({}, {}, {}) for language in LANGUAGES
    }
    for idea, words in concepts():
        for language, items in words.items():
            for item in items:
                stem = item.endswith("*")
                phrase = readings(item.rstrip("*"))[0].text
                if not phrase:
                    continue
                east = is_east(phrase[0])
                kind = 2 if east or " " in phrase else 1 if stem else 0
                key = phrase.replace(" ", "") if east else f" {phrase}" if kind == 2 else phrase
                into = columns[language][kind]
                into[key] = (*into.get(key, ()), idea)
    return {k: _Column(whole=v[0], stems=v[1], phrases=v[2]) for k, v in columns.items()}


def guess(words: Sequence[str]) -> tuple[str, ...]:
    """The languages that a text may be in."""
    if any(is_east(word[0]) for word in words):
        kana = any("\u3040" <= word[0] <= "\u30ff" for word in words)
        return ("ja", "en") if kana else ("zh", "en")
    counts = {language: sum(w in small for w in words) for language, small in _WORDS.items()}
    most = max(counts.values())
    # short prompts have few small words or none: then all that come close
    return tuple(language for language, count in counts.items() if count >= most - (most < 3))


def small(words: Sequence[str]) -> bool:
    """Whether there are small words only, such as "a" and "of"."""
    return all(any(word in few for few in _WORDS.values()) for word in words)


@lru_cache(maxsize=2**15)
def _of_word(word: str, language: str) -> tuple[str, ...]:
    column = _columns()[language]
    ideas = dict.fromkeys(column.whole.get(word, ()))
    for length in range(2, len(word) + 1):
        ideas.update(dict.fromkeys(column.stems.get(word[:length], ())))
    return tuple(ideas)


@lru_cache(maxsize=512)
def _found(words: tuple[str, ...], languages: tuple[str, ...]) -> tuple[str, ...]:
    ideas: dict[str, None] = {}
    text = f" {' '.join(words)} "
    run = "".join(word for word in words if is_east(word[0]))
    for language in languages:
        column = _columns()[language]
        for word in words:
            ideas.update(dict.fromkeys(_of_word(word, language)))
            for phrase in column.starts.get(word, ()):
                if phrase in text:
                    ideas.update(dict.fromkeys(column.phrases[phrase]))
        if language in ("zh", "ja"):
            for first in range(len(run)):
                for phrase in column.starts.get(run[first], ()):
                    if run.startswith(phrase, first):
                        ideas.update(dict.fromkeys(column.phrases[phrase]))
    return tuple(ideas)


def found(words: Sequence[str]) -> tuple[str, ...]:
    """The ideas in a text of folded words, each once."""
    return _found(tuple(words), guess(words)) if words else ()
