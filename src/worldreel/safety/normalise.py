"""Text as a reader sees it, whatever signs it is written with.

People get words past a filter by writing them so that an eye still reads them and a program does
not: look-alike letters of other scripts, digits for letters, spaces or dots between letters,
letters repeated, marks that are not seen. `readings` undoes that. The first reading is the plain
one: NFKC, invisible signs and accents gone, lower case, look-alikes as Latin letters. Others follow
only where the text gives cause: digits and signs inside words read as letters (1 as i, or as l),
single letters with a sign between them read as words, and letters written three times or more read
once, or twice.

A reading is a list of words, each with the part of the original text it came from, so that a
verdict can quote what was written. Of Chinese and Japanese each sign is a word.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["LONGEST", "Reading", "Word", "fold", "is_east", "readings"]

LONGEST = 4000
"""Characters of a text that are read at once; a longer text is cut into overlapping parts."""

_LOOKALIKES = str.maketrans(
    {
        **dict(zip("авекмнорстухіјѕԁԛԝһӏьєғҽոսցհ", "abekmhopctyxijsdqwhlbefenugh", strict=True)),
        **dict(zip("αβγεζηικνορστυχωϲϳ", "abyeznikvopotuxwcj", strict=True)),
        **dict(zip("ɑɡıɩɪʟɴʀʏʙɢʜᴀᴄᴅᴇᴊᴋᴍᴏᴘᴛᴜᴠᴡᴢꜰꜱ", "agiiilnrybghacdejkmoptuvwzfs", strict=True)),
        **dict(zip("ƒɐɔǝɥɯɹʇʌʎ", "facehmrtvy", strict=True)),
        "ø": "o", "ł": "l", "đ": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d",
    }
)  # fmt: skip
_LEET = str.maketrans("013456789@$!|+€£¥§×¢", "oieasgtbgasiltelysxc")
_SIGNS = "@$!|+€£¥§×¢*#"
_EAST = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_EAST}]|[^\W_{_EAST}]+")
_APOSTROPHES = "'’`´ʼ"
_ELIDED = frozenset(("l", "d", "j", "m", "n", "s", "t", "c", "qu", "jusqu", "lorsqu"))
_TOUCHING = re.compile(rf"[\w{re.escape(_SIGNS)}]+")
_RUNS = re.compile(r"(.)\1{2,}")


@dataclass(frozen=True, slots=True)
class Word:
    """A word as it is read, and where in the original it stands: characters first … last - 1."""

    text: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a text: its words in order, and whether that may pass for language."""

    words: tuple[Word, ...]
    language: bool = True

    @property
    def text(self) -> str:
        """The words with a blank between them."""
        return " ".join(word.text for word in self.words)


def readings(text: str) -> tuple[Reading, ...]:
    """The plain reading of `text` and, where there is cause, others; at least one."""
    signs, places = _signs(text)
    plain = _words(signs, places)
    found = [plain]
    leet = sum(_is_leet(match.group()) for match in _TOUCHING.finditer(signs))
    if leet:
        found.append(_words(_unleet(signs, "i", every=leet > 2), places))
        other = _words(_unleet(signs, "l", every=leet > 2), places)
        found.append(Reading(other.words, language=False))
    found += [joined for reading in tuple(found) if (joined := _joined(reading)) is not None]
    found += [
        Reading(tuple(Word(_RUNS.sub(kept, w.text), w.first, w.last) for w in reading.words))
        for reading in tuple(found)
        if reading.language and any(_RUNS.search(word.text) for word in reading.words)
        for kept in (r"\1", r"\1\1")
    ]
    unique: dict[str, Reading] = {}
    for reading in found:
        unique.setdefault(reading.text, reading)
    first, *others = unique.values()
    # disguised text as it stands is no language; what it was meant to be read as is
    return (Reading(first.words, language=not others), *others)


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """`text` in lower case, compatible forms made one, accents and invisible signs gone."""
    return _signs(text)[0]


def is_east(sign: str) -> bool:
    """Whether a sign is of a script written without blanks: Han, kana (Hangul has blanks)."""
    code = ord(sign)
    return 0x3040 <= code <= 0x30FF or 0x3400 <= code <= 0x9FFF or 0x20000 <= code <= 0x3FFFF


def _signs(text: str) -> tuple[str, list[int]]:
    """The folded signs of `text` and, for each, the place in `text` that it came from."""
    signs: list[str] = []
    places: list[int] = []
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and (unicodedata.combining(text[end]) or text[end] in "ﾞﾟ"):
            end += 1
        # 32 marks on one letter are decoration; reading them all would only cost time
        folded = _fold_one(text[start : min(end, start + 32)])
        signs.append(folded)
        places.extend([start] * len(folded))
        start = end
    return "".join(signs), places


@lru_cache(maxsize=8192)
def _fold_one(cluster: str) -> str:
    """One letter with its marks, folded; nothing for invisible signs."""
    code = ord(cluster[0])
    if 0x1F1E6 <= code <= 0x1F1FF:  # flags' letters
        return chr(code - 0x1F1E6 + 97)
    if 0x1F170 <= code <= 0x1F189:  # white letters on black squares
        return chr(code - 0x1F170 + 97)
    if 0xE0020 <= code <= 0xE007E:  # tags: ASCII that nobody sees
        return chr(code - 0xE0000).lower()
    text = unicodedata.normalize("NFKC", cluster).casefold()
    if not any(is_east(c) for c in text):
        parts = unicodedata.normalize("NFD", text)
        text = "".join(c for c in parts if unicodedata.category(c) not in ("Mn", "Me"))
        text = unicodedata.normalize("NFC", text)
    else:
        text = unicodedata.normalize("NFC", text)
    kept = (
        " " if c.isspace() else c
        for c in text
        if unicodedata.category(c) not in ("Cf", "Cc", "Cs", "Cn", "Co") or c in "\n\t\r"
    )
    return "".join(kept).translate(_LOOKALIKES)


def _words(signs: str, places: list[int]) -> Reading:
    """The words among folded signs, cut at apostrophes ("l'", "'s" go) and where scripts change."""
    words: list[Word] = []
    for match in _WORD.finditer(signs):
        text = match.group()
        if match.start() and signs[match.start() - 1] in _APOSTROPHES and text == "s":
            continue
        if match.end() < len(signs) and signs[match.end()] in _APOSTROPHES and text in _ELIDED:
            continue
        begin, end = match.start(), match.end() - 1
        words.append(Word(text, places[begin], places[end] + 1))
    return Reading(tuple(words))


def _joined(reading: Reading) -> Reading | None:
    """The reading with words that were spelt in single letters; None if there are none.

    One sign between two letters joins them, more part words.
    """
    words: list[Word] = []
    spelt = 0
    for word in reading.words:
        single = len(word.text) == 1 and word.text.isalpha() and not is_east(word.text)
        if single and spelt and word.first - words[-1].last <= 1:
            words[-1] = Word(words[-1].text + word.text, words[-1].first, word.last)
            spelt += 1
        else:
            words.append(word)
            spelt = int(single)
    if len(words) > len(reading.words) - 3:
        return None
    return Reading(tuple(words), language=reading.language)


def _is_leet(touching: str) -> bool:
    """Whether digits or signs stand for letters in it: letters too, and not a plain "3d", "90s"."""
    text = touching.strip("!*#+|")
    if not any(c.isalpha() for c in text) or any(is_east(c) for c in text):
        return False
    if re.fullmatch(r"\d+[a-z]{1,2}|[a-z]\d+", text):
        return False
    return any(c.isdigit() or c in _SIGNS for c in text)


def _unleet(signs: str, one: str, *, every: bool) -> str:
    """The same number of signs, with letters for the digits and signs inside words.

    `every` decodes short numbers too: in "70 7h3 m00n" the first word is "to".
    """

    def decode(match: re.Match[str]) -> str:
        text = match.group()
        if not _is_leet(text) and not (every and len(text.strip("!")) <= 5):
            return text
        core = text.rstrip("!|+")
        return core.replace("1", one).translate(_LEET) + text[len(core) :]

    return _TOUCHING.sub(decode, signs)
