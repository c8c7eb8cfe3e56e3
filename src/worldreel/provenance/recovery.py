"""A video that lost its manifest finds it again: by its watermark, else by what it looks like.

`remember` keeps, for every video made here, its id, its recipe, its manifest if there is one, and
its fingerprint, in one database of the local store (`recovery.sqlite`); `recover` looks a file up.
The watermark's answer has a stated false-positive rate. A fingerprint's has none: it says "looks
like", and gives the distance. What is kept longest is forgotten first above `LIMIT` videos.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from worldreel.errors import OutputError, message, shown
from worldreel.provenance.fingerprint import BITS, LARGEST, distance, fingerprint, plain
from worldreel.provenance.search import Known, find
from worldreel.provenance.store import home
from worldreel.provenance.watermark import installation_key
from worldreel.video.foreign import measure, read_clip
from worldreel.video.video import Video

__all__ = [
    "LIMIT",
    "Recovered",
    "looked_up",
    "nearest",
    "recover",
    "recover_video",
    "remember",
    "stored",
]

LIMIT = 100_000
"""Videos that are kept: about 300 MB without manifests."""

_FPS, _SECONDS, _SIDE = 8.0, 60.0, 480

_TABLE = """
create table if not exists videos (
    number integer primary key,
    word text not null,
    recipe text not null,
    manifest blob,
    hashes blob not null
)
"""


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """A video that was made here. `how` is "watermark" or "fingerprint"; `rate` bounds how often a
    strange video is taken for it (watermark), `distance` is the share of the picture's bits that
    differ (fingerprint); of the two the one that does not apply is None."""

    how: str
    word: int
    recipe: dict[str, Any]
    manifest: bytes | None = field(repr=False)
    rate: float | None = None
    distance: float | None = None


def database() -> Path:
    """Where the videos are remembered."""
    return home() / "recovery.sqlite"


@contextmanager
def _open(file: Path) -> Iterator[sqlite3.Connection]:
    """The database, made if there is none and readable by its user alone; a block is done whole or
    not at all. Raises `OutputError`."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        with closing(sqlite3.connect(file, timeout=30)) as connection, connection:
            connection.execute(_TABLE)
            connection.execute("create index if not exists words on videos (word)")
            yield connection
    except (OSError, sqlite3.Error) as error:
        came = f"the store {shown(str(file), limit=200)} cannot be used ({error})"
        raise OutputError(message(came, "give access to it, or move it away")) from error


def remember(
    video: Video,
    *,
    word: int,
    recipe: Mapping[str, Any],
    manifest: bytes | None = None,
    file: Path | None = None,
) -> None:
    """Keep how a video was made, under the id in its watermark; raises `OutputError`."""
    text = json.dumps(dict(recipe), ensure_ascii=False)
    row = (f"{word:016x}", text, manifest, fingerprint(video).tobytes())
    with _open(file or database()) as store:
        store.execute("delete from videos where word = ?", row[:1])
        store.execute("insert into videos (word, recipe, manifest, hashes) values (?,?,?,?)", row)
        newest = "select number from videos order by number desc limit 1 offset ?"
        store.execute(f"delete from videos where number <= ({newest})", (LIMIT,))


def recover(
    path: str | Path, *, key: bytes | None = None, file: Path | None = None
) -> Recovered | None:
    """What is known of the video in `path`, or None if it is not known here.

    The file is read in a process of its own, with limits. Raises `MediaError` if it cannot be read.
    """
    file = database() if file is None else file
    if not file.is_file():
        return None
    # Every frame says the same, so a few a second of the first minute are enough.
    rate = min(_FPS, measure(path).fps)
    video = read_clip(path, fps=rate, seconds=_SECONDS, limit=_SIDE)
    return recover_video(video, key=key, file=file)


def recover_video(
    video: Video, *, key: bytes | None = None, file: Path | None = None
) -> Recovered | None:
    """As `recover`, of a video in memory."""
    file = database() if file is None else file
    if not file.is_file():
        return None
    key = installation_key() if key is None else key
    known = stored(file)
    found = find(video, key=key, known=Known(known))
    if found.present and found.word is not None and found.word in known:
        rate = found.false_positive_rate
        return looked_up(found.word, file=file, how="watermark", rate=rate)
    if plain(video):
        return None
    best = nearest(video, file=file)
    if best is None or best[1] > LARGEST:
        return None
    return looked_up(best[0], file=file, how="fingerprint", distance=best[1])


def stored(file: Path | None = None) -> list[int]:
    """The ids of the videos that are kept; raises `OutputError`."""
    file = file or database()
    if not file.is_file():
        return []
    with _open(file) as store:
        return [int(word, 16) for (word,) in store.execute("select word from videos")]


def nearest(video: Video, *, file: Path | None = None) -> tuple[int, float] | None:
    """The id of the kept video that looks most like this one, and its distance; None if none is
    kept. Raises `OutputError`."""
    file = file or database()
    if not file.is_file():
        return None
    query = fingerprint(video)
    best: tuple[int, float] | None = None
    with _open(file) as store:
        for word, blob in store.execute("select word, hashes from videos"):
            kept = np.frombuffer(blob, np.uint8)
            if len(kept) % (BITS // 8):
                continue  # not ours
            far = distance(query, kept.reshape(-1, BITS // 8))
            if best is None or far < best[1]:
                best = int(word, 16), far
    return best


def looked_up(word: int, *, file: Path | None = None, **evidence: Any) -> Recovered | None:
    """The video that is kept under an id, with the evidence (`Recovered.how` and so on) by which it
    was known; None if it was forgotten. Raises `OutputError`."""
    file = file or database()
    if not file.is_file():
        return None
    with _open(file) as store:
        row = store.execute(
            "select recipe, manifest from videos where word = ?", (f"{word:016x}",)
        ).fetchone()
    if row is None:
        return None
    try:
        recipe = json.loads(row[0])
    except ValueError:
        recipe = {}
    recipe = recipe if isinstance(recipe, dict) else {}
    return Recovered(word=word, recipe=recipe, manifest=row[1], **evidence)
