"""A prompt is read in every way that makes sense, then judged by lists and by heads.

1. `normalise.readings`: what the eye reads, whatever signs it is written with.
2. Exceptions ("killer whale") are taken away.
3. The rule on young persons: something sexual anywhere and a word for a young person anywhere.
4. Lists of names and words a category.
5. Heads (`classify`) on the whole prompt and on overlapping windows of it, so that a page of
   harmless words around it hides nothing.

The first category that refuses, in the order of `CATEGORIES` (what is worst first), is the verdict.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

from worldreel.safety.classify import load_heads
from worldreel.safety.data import lines
from worldreel.safety.names import Entry, Hit, NameList
from worldreel.safety.normalise import LONGEST, Reading, fold, readings
from worldreel.safety.policy import CATEGORIES, MINORS, Policy

__all__ = ["VERSION", "Verdict", "review"]

VERSION = "1"
_LISTS = {
    "violence": ("violence",),
    "sexual": ("sexual",),
    "hate": ("hate",),
    "figures": ("figures-full", "figures"),
    "characters": ("characters-more", "characters", "brands"),
    "news": ("news",),
    "young": ("young",),
    "suggestive": ("suggestive",),
    "exceptions": ("exceptions",),
}
_LAP = 400  # characters that parts of a long prompt share
_WINDOWS = ((20, 10), (10, 5))  # words that the heads judge at once, and steps between them
_TELLING = 2  # words that the heads need: of one alone ("love", "man") lists know more
_SHORT = 150  # words of a part up to which the short windows are judged too
_YOUNG_SCORE = 0.5  # of the sexual head's own threshold, where a young person is named
_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen"
    "|sixteen|seventeen"
)
_AGE = re.compile(
    rf"\b(1[0-7]|[0-9]|{_NUMBERS})[\s-]*(years?[\s-]*old|yrs?\b|yo\b|y\.o|jahre|jahrig|ans\b|anos\b)"
    r"|\bage[d:]?\s*(1[0-7]|[0-9])\b"
    r"|(?<!\d)(1[0-7]|[0-9])\s*[岁歳歲]"
    r"|(?<![二三四五六七八九十百])(十[一二三四五六七]?|[一二三四五六七八九])\s*[岁歳歲]"
)
"""Ages below eighteen."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a prompt may be made; if not, the `category`, the `words` that decided (as they were
    written) and a `score` in 0 … 1. `version` names policy, lists and heads; `off` are the
    categories that the operator has switched off."""

    allowed: bool
    category: str | None
    words: tuple[str, ...]
    version: str
    score: float
    off: tuple[str, ...] = ()


def review(prompt: str, policy: Policy | None = None) -> Verdict:
    """Judge one prompt. The text is data: nothing in it is followed."""
    policy = policy or Policy()
    judge = _judge(policy)
    found: dict[str, Finding] = {}
    for part in _parts(prompt):
        for category, finding in judge.part(part).items():
            before = found.get(category)
            if before is None or (finding.refused, finding.score) > (before.refused, before.score):
                found[category] = finding
    off = tuple(sorted(policy.off))
    version = judge.version
    for category in (MINORS, *CATEGORIES):
        finding = found.get(category, Finding())
        if finding.refused:
            return Verdict(
                allowed=False, category=category, words=finding.words, version=version,
                score=round(finding.score, 3), off=off,
            )  # fmt: skip
    score = max((finding.score for finding in found.values()), default=0.0)
    return Verdict(
        allowed=True, category=None, words=(), version=version, score=round(score, 3), off=off
    )


def _parts(prompt: str) -> Iterator[str]:
    """The prompt, or overlapping parts of one that is too long to be read at once."""
    yield prompt[:LONGEST]
    for first in range(LONGEST - _LAP, max(len(prompt) - _LAP, 0), LONGEST - _LAP):
        yield prompt[first : first + LONGEST]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """How much a text is of a category, and whether that is too much."""

    score: float = 0.0
    words: tuple[str, ...] = ()
    refused: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Lists and heads under one policy: the built-in lists, and the operator's `own`."""

    policy: Policy
    own: NameList
    version: str

    def part(self, text: str) -> dict[str, Finding]:
        """What is found in one part of a prompt, a category."""
        every = [Read.of(reading, self.own) for reading in readings(text)]
        found = self._heads(text, every, [read.covered | read.allowed for read in every])
        for category in CATEGORIES:
            replaced = category in self.policy.replace
            kinds = (f"own {category}", "" if replaced else category)
            words = _listed(text, every, kinds, allow=True)
            if words:
                found[category] = Finding(score=1.0, words=words, refused=True)
        rule = self._minors(text, every)
        kept = {c: f for c, f in found.items() if c not in self.policy.off}
        return {**kept, MINORS: rule} if rule.refused else kept

    def _minors(self, text: str, every: Sequence[Read]) -> Finding:
        """The rule that no policy lifts: built-in lists, exceptions and thresholds only."""
        young = _listed(text, every, ("young",), allow=False)
        young = young or tuple(m.group() for m in islice(_AGE.finditer(fold(text)), 1))
        if not young:
            return Finding()
        words = _listed(text, every, ("sexual",), allow=False)
        words = words or _listed(text, every, ("suggestive",), allow=False)
        if words:
            return Finding(score=1.0, words=(*words, *young), refused=True)
        sexual = self._heads(text, every, [read.covered for read in every])["sexual"]
        if sexual.score >= load_heads().thresholds["sexual"] * _YOUNG_SCORE:
            return Finding(score=sexual.score, words=(*sexual.words, *young), refused=True)
        return Finding()

    def _heads(
        self, text: str, every: Sequence[Read], covered: Sequence[frozenset[int]]
    ) -> dict[str, Finding]:
        """What the heads say of the reading and the window that says it loudest."""
        windows: list[tuple[Reading, list[int]]] = []
        for read, without in zip(every, covered, strict=True):
            if not read.reading.language:
                continue
            left = [i for i in range(len(read.reading.words)) if i not in without]
            if len(left) < _TELLING:
                continue
            for size, step in _WINDOWS[: 1 if not 12 < len(left) <= _SHORT else None]:
                last = max(len(left) - size, 0)
                starts = [*range(0, last, step), last]
                windows += [(read.reading, left[start : start + size]) for start in starts]
        heads = load_heads()
        if not windows:
            return dict.fromkeys(heads.categories, Finding())
        scores = heads.scores([[r.words[i].text for i in kept] for r, kept in windows])
        found = {}
        for column, category in enumerate(heads.categories):
            best = int(scores[:, column].argmax())
            score = float(scores[best, column])
            limit = self.policy.strictness.get(category, heads.thresholds[category])
            refused = score >= limit
            near = refused or category == "sexual"
            words = _deciding(text, *windows[best], column) if near and score > 0.01 else ()
            found[category] = Finding(score=score, words=words, refused=refused)
        return found


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """One reading, what the lists find in it, and the places of words that are nobody's business:
    `covered` by built-in exceptions, `allowed` by the operator."""

    reading: Reading
    hits: tuple[Hit, ...]
    covered: frozenset[int]
    allowed: frozenset[int]

    @classmethod
    def of(cls, reading: Reading, own: NameList) -> Read:
        """Look for everything at once."""
        hits = (*_builtin().find(reading), *(own.find(reading) if own.entries else ()))
        places = {
            kind: frozenset(i for h in hits if h.kind == kind for i in range(h.first, h.last))
            for kind in ("exceptions", "allow")
        }
        return cls(
            reading=reading, hits=hits, covered=places["exceptions"], allowed=places["allow"]
        )


def _listed(
    text: str, every: Sequence[Read], kinds: Sequence[str], *, allow: bool
) -> tuple[str, ...]:
    """The words of the first reading in which these lists find any, as they were written."""
    for read in every:
        without = read.covered | read.allowed if allow else read.covered
        hits = [
            hit
            for hit in read.hits
            if hit.kind in kinds and not without.issuperset(range(hit.first, hit.last))
        ]
        if hits:
            said = (_slice(text, read.reading, hit.first, hit.last) for hit in hits)
            return tuple(dict.fromkeys(said))
    return ()


def _deciding(text: str, reading: Reading, kept: Sequence[int], column: int) -> tuple[str, ...]:
    """Up to three words without which a window's score falls most."""
    if len(kept) < 2:
        return tuple(_slice(text, reading, i, i + 1) for i in kept)
    words = [reading.words[i].text for i in kept]
    without = [words[:i] + words[i + 1 :] for i in range(len(words))]
    scores = load_heads().scores([words, *without])[:, column]
    falls = scores[0] - scores[1:]
    order = sorted(range(len(kept)), key=lambda i: -falls[i])[:3]
    chosen = sorted(i for i in order if falls[i] > 0.02) or sorted(order[:1])
    return tuple(_slice(text, reading, kept[i], kept[i] + 1) for i in chosen)


def _slice(text: str, reading: Reading, first: int, last: int) -> str:
    return text[reading.words[first].first : reading.words[last - 1].last]


def covered(reading: Reading) -> frozenset[int]:
    """Places of the words of a reading that the built-in exceptions take away."""
    return Read.of(reading, _NOTHING).covered


def listed(category: str, text: str) -> bool:
    """Whether the built-in list of a category finds anything in the plain reading."""
    read = Read.of(readings(text)[0], _NOTHING)
    return bool(_listed(text, [read], (category,), allow=False))


_NOTHING = NameList(entries=())


@lru_cache(maxsize=1)
def _builtin() -> NameList:
    """All built-in lists at once; an entry's kind is its category or the list's name."""
    ordinary = frozenset(lines("ordinary"))
    found: list[Entry] = []
    for kind, names in _LISTS.items():
        for name in names:
            found += NameList.of(lines(name), kind=kind).entries
    return NameList(entries=tuple(found), ordinary=ordinary)


@lru_cache(maxsize=1)
def _version() -> str:
    """The built-in policy's name: its number and a hash of lists and heads."""
    digest = hashlib.sha256(load_heads().sha256.encode())
    for name in (name for names in _LISTS.values() for name in names):
        digest.update("\n".join(lines(name)).encode())
    return f"{VERSION}.{digest.hexdigest()[:8]}"


def _own(policy: Policy) -> NameList:
    """The operator's lists."""
    found = list(NameList.of(policy.allow, kind="allow").entries)
    for told in (policy.refuse, policy.replace):
        for category, every in told.items():
            found += NameList.of(every, kind=f"own {category}").entries
    return NameList(entries=tuple(found), ordinary=_builtin().ordinary)


_JUDGES: dict[str, Judge] = {}


def _judge(policy: Policy) -> Judge:
    """The judge of a policy, made once."""
    key = policy.changes
    if key not in _JUDGES:
        if len(_JUDGES) >= 16:
            _JUDGES.clear()  # a server that is given many policies must not grow
        name = f"{_version()}+{key}" if key else _version()
        _JUDGES[key] = Judge(policy=policy, own=_own(policy), version=name)
    return _JUDGES[key]
