"""What a video was made from, as C2PA tells it.

    inputTo       a picture that the model was shown: animate, storyboard
    parentOf      the video that was changed or gone on from: extend, fill, loop, edit
    componentOf   a further video that is in it as it was: the second of connect

A video with a parent was opened and edited; one without was created.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["COMPONENT", "INPUT", "PARENT", "Ingredient", "kind_of", "related"]

PARENT, INPUT, COMPONENT = "parentOf", "inputTo", "componentOf"
_SHOWN = ("generate", "image", "animate", "storyboard")
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"\x1aE\xdf\xa3", "video/x-matroska"),
)
_BRANDS = {b"qt  ": "video/quicktime", b"avif": "image/avif", b"heic": "image/heic"}


@dataclass(frozen=True, kw_only=True)
class Ingredient:
    """A file that a video was made from; `path` is None for what there was only in memory.

    `title` is its name, told in manifests only where `Settings.prompt` allows it.
    """

    relationship: str
    path: Path | None = None
    title: str = ""

    def __post_init__(self) -> None:
        assert self.relationship in (PARENT, INPUT, COMPONENT), self.relationship


def related(task: str, paths: Sequence[str | Path | None]) -> tuple[Ingredient, ...]:
    """The ingredients of a video made by `task` (as in `Request.task`) from the files `paths`, in
    the order in which they were given; None stands for one that has no file."""
    found = []
    for index, path in enumerate(paths):
        role = INPUT if task in _SHOWN else COMPONENT if index else PARENT
        place = None if path is None else Path(path)
        found.append(
            Ingredient(relationship=role, path=place, title=place.name if place is not None else "")
        )
    return tuple(found)


def kind_of(head: bytes) -> str:
    """The media type of a file that begins with `head` (12 bytes are enough); "" if unknown."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"AVI ": "video/avi"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    return ""
