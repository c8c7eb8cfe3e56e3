"""The files of this package: lists of words, labelled prompts, the trained heads.

The prompts were split into train, dev and test before anything was tuned; `TEST_SHA256` and
`SECOND_SHA256` are the hashes of the frozen parts "test" and "second", and a test checks them.
Nobody reads those but the evaluation.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from worldreel.errors import WeightsError

__all__ = [
    "LANGUAGES",
    "SECOND_SHA256",
    "TEST_SHA256",
    "Prompt",
    "content",
    "digest",
    "lines",
    "prompts",
]

LANGUAGES = ("en", "es", "fr", "de", "pt", "zh", "ja")
TEST_SHA256 = "04e3b50ae99ef18f9ab901e3d75eb36b4e6f58a75d644c8bba1aa9731b06b0e4"
"""What `digest` says of the frozen test part."""
SECOND_SHA256 = "0f35831860ba7e3387e9239d5d0a2c22a193a31a942dbfc9e2e17ec7be969503"
"""What it says of the second frozen part, written later and in other styles."""

_FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """A labelled prompt: `label` is a category or "ok"; `batch` says how it came to be."""

    part: str
    language: str
    label: str
    batch: str
    text: str


def content(name: str) -> bytes:
    """The bytes of one file; raises `WeightsError` if it is missing."""
    try:
        return (_FOLDER / name).read_bytes()
    except OSError as error:
        raise WeightsError(f"The file {name} is missing; install worldreel again.") from error


@lru_cache(maxsize=32)
def lines(name: str) -> tuple[str, ...]:
    """The lines of a list, `NAME.txt` or `NAME.txt.gz`."""
    try:
        if (_FOLDER / f"{name}.txt").exists():
            return tuple(content(f"{name}.txt").decode("utf-8").splitlines())
        return tuple(gzip.decompress(content(f"{name}.txt.gz")).decode("utf-8").splitlines())
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise WeightsError(f"The list {name} is damaged; install worldreel again.") from error


@lru_cache(maxsize=1)
def prompts() -> tuple[Prompt, ...]:
    """All labelled prompts of all three parts."""
    rows = (line.split("\t") for line in lines("prompts") if line and not line.startswith("#"))
    return tuple(
        Prompt(part=part, language=language, label=label, batch=batch, text=text)
        for part, language, label, batch, text in rows
    )


def digest(given: Iterable[Prompt]) -> str:
    """SHA-256 of prompts in their order: language, label, text a line."""
    told = "".join(f"{p.language}\t{p.label}\t{p.text}\n" for p in given)
    return hashlib.sha256(told.encode()).hexdigest()
