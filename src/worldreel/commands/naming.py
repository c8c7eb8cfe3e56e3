"""Names for what is written: made from the prompt, and never those of files that are there."""

from __future__ import annotations

import os
import re
import unicodedata
from itertools import count
from pathlib import Path

__all__ = ["free", "numbered", "slug"]

_LONGEST = 48


def slug(text: str, *, otherwise: str = "video") -> str:
    """`text` as a file name that every system takes: a-z, 0-9 and hyphens, cut between words."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain.replace("'", ""))
    name = ""
    for word in words:
        if name and len(name) + 1 + len(word) > _LONGEST:
            break
        name = f"{name}-{word}" if name else word[:_LONGEST]
    return name or otherwise


def free(path: Path) -> Path:
    """`path`, or the first of path-2, path-3 … that is not there yet."""
    tries = (path if i == 1 else path.with_name(f"{path.stem}-{i}{path.suffix}") for i in count(1))
    return next(place for place in tries if not os.path.lexists(place))


def numbered(path: Path, total: int) -> list[Path]:
    """`total` names for one: the name itself, or name-1 … name-N with zeros to sort by."""
    if total == 1:
        return [path]
    digits = len(str(total))
    return [path.with_name(f"{path.stem}-{i:0{digits}}{path.suffix}") for i in range(1, total + 1)]
