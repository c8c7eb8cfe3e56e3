"""What people give, as `KnownClip`s: files are read where a broken one can do no harm, and named
by their checksum, so that a recipe can tell them again; videos and pictures in memory are taken
as they are. A clip of our own finds the latents it was decoded from.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from worldreel import tasks
from worldreel.errors import MediaError, message, shown
from worldreel.latents import find
from worldreel.models.embedded import EMBEDDED
from worldreel.models.load import settings_of
from worldreel.models.model import Settings
from worldreel.request import KnownClip, Request, Shot
from worldreel.storyboard import Storyboard
from worldreel.video import Video
from worldreel.video.foreign import measure, read_clip, read_photo

__all__ = ["LONGEST", "board_request", "known_clip", "known_shown", "known_still"]

LONGEST = 120.0
"""Seconds of a clip that can be given."""
_SIDE = 360
"""Pixels that a given clip's shorter side is not reduced below: what is cut out of it may still be
enlarged."""


def known_clip(
    source: str | Path | Video | KnownClip, *, like: Settings | None = None
) -> KnownClip:
    """A clip: a file of any format, or a `Video`. A file is read at the rate and about the size of
    a model with the settings `like`; the embedded model's if None.

    Raises `MediaError` for what is no video or cannot be read.
    """
    if isinstance(source, KnownClip):
        return source
    if isinstance(source, Video):
        return KnownClip(clip=source)
    path = Path(source)
    told = measure(path).seconds
    if told is not None and told > LONGEST:
        came = f"{shown(path.name)} lasts {told:.0f} seconds"
        raise MediaError(message(came, f"a clip may last {LONGEST:.0f}"))
    like = settings_of() if like is None else like
    side = max(min(pair) for pair in like.natives)
    video = read_clip(path, fps=like.fps, limit=max(side, _SIDE))
    name = str((video.recipe or {}).get("latents", ""))
    latents = find(name) if name else None
    if latents is not None:
        video = replace(video, latents=latents)
    foreign = video.recipe is None
    return KnownClip(
        clip=video,
        name=path.name,
        sha256=_checksum(path),
        path=str(path.absolute()),
        foreign=foreign,
    )


def known_still(
    source: str | Path | Video | Image.Image | KnownClip, *, at: float = 0.0
) -> KnownClip:
    """A picture that is to appear `at` a second: a file, a PIL image, or a video's first frame.

    Raises `MediaError` for what is no picture or cannot be read.
    """
    if not math.isfinite(at):
        raise MediaError(message(f"the picture's time is {at}", "give seconds, such as 1.5"))
    if isinstance(source, KnownClip):
        return source
    if isinstance(source, Video):
        first = next(iter(source.chunks(0, 1)))
        return KnownClip(clip=Video(first, fps=source.fps), at=at)
    if isinstance(source, Image.Image):
        pixels: Any = np.asarray(source.convert("RGB")).copy()
        picture = Video(torch.from_numpy(pixels)[None], fps=12.0)
        return KnownClip(clip=picture, at=at, foreign=True)
    path = Path(source)
    photo = read_photo(path)
    foreign = photo.recipe is None
    return KnownClip(
        clip=photo,
        at=at,
        name=path.name,
        sha256=_checksum(path),
        path=str(path.absolute()),
        foreign=foreign,
    )


def known_shown(source: str | Path | Video | Image.Image | KnownClip) -> KnownClip:
    """What shows a character: a picture or a clip. Raises `MediaError` for what is neither."""
    if not isinstance(source, str | Path):
        return known_clip(source) if isinstance(source, Video) else known_still(source)
    return known_still(source) if measure(Path(source)).seconds == 0 else known_clip(source)


def board_request(board: Storyboard, settings: Mapping[str, Any]) -> Request:
    """The request of a storyboard; `settings` that are given take the place of its own.

    Raises as `Request` and the readers do.
    """
    like = settings_of(str(settings.get("model") or EMBEDDED)) if _has_clips(board) else None
    known, begins = [], 0.0
    for shot in board.shots:
        known += [known_still(given.path, at=begins + given.at) for given in shot.stills]
        clips = [(known_clip(given.path, like=like), given.at) for given in shot.clips]
        known += [replace(clip, at=begins + at) for clip, at in clips]
        begins += shot.seconds
    width, height = board.size if board.size is not None else (None, None)
    own: dict[str, Any] = {"width": width, "height": height, "aspect": board.aspect}
    own |= {"fps": board.fps, "seed": board.seed}
    own |= {"guidance": board.guidance, "steps": board.steps}
    if any(settings.get(name) is not None for name in ("width", "height", "aspect")):
        own |= {"width": None, "height": None, "aspect": None}
    own |= {name: value for name, value in settings.items() if value is not None}
    shots = [
        Shot(prompt=shot.text(board.cast, board.style), seconds=shot.seconds)
        for shot in board.shots
    ]
    return tasks.storyboard(shots, known, **own)


def _has_clips(board: Storyboard) -> bool:
    return any(shot.clips for shot in board.shots)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
