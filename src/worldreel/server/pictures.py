"""A thumbnail and a sprite sheet of a finished video, from one pass over the file; both signed, as
what was made from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import av
from PIL import Image

from worldreel.errors import RecipeError
from worldreel.recipe import extract
from worldreel.server.storage import VARIANTS
from worldreel.trust import Trust
from worldreel.video.write import save_image

if TYPE_CHECKING:
    from worldreel.video.video import Seal

__all__ = ["Told", "draw", "told"]

_SPRITES, _COLUMNS, _SPRITE, _THUMBNAIL = 16, 4, 256, 512


class Told(tuple[int, int, float]):
    """(width, height, seconds) of a video."""


def told(path: Path) -> Told:
    """What a video file of our own says of itself."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        rate = float(stream.average_rate or 1)
        frames = stream.frames or 1
        return Told((stream.width, stream.height, frames / rate))


def draw(video: Path) -> None:
    """Writes the thumbnail (the middle frame) and the sprite sheet beside a video."""
    seal = _seal(video)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        count = max(1, stream.frames)
        wanted = {round(i * (count - 1) / max(1, _SPRITES - 1)) for i in range(_SPRITES)}
        middle = count // 2
        sprites = []
        for number, frame in enumerate(container.decode(stream)):
            if number == middle or (number == 0 and count == 1):
                picture = _picture(frame)
                picture.thumbnail((_THUMBNAIL, _THUMBNAIL))
                place = video.with_name(VARIANTS["thumbnail"][0])
                save_image(picture, place, seal=seal, quality=80)
            if number in wanted:
                scale = _SPRITE / max(frame.width, frame.height)
                size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
                sprites.append(_picture(frame).resize(size))
    width, height = sprites[0].size
    rows = -(-len(sprites) // _COLUMNS)
    page = Image.new("RGB", (width * min(_COLUMNS, len(sprites)), height * rows))
    for number, sprite in enumerate(sprites):
        page.paste(sprite, (number % _COLUMNS * width, number // _COLUMNS * height))
    save_image(page, video.with_name(VARIANTS["spritesheet"][0]), seal=seal, quality=80)


def _seal(video: Path) -> Seal | None:
    """What signs the pictures of a video; None if it says nothing of itself."""
    try:
        recipe = extract(video)
    except RecipeError:
        return None
    return Trust.load().derived(recipe, [video])


def _picture(frame: av.VideoFrame) -> Image.Image:
    return Image.fromarray(frame.to_ndarray(format="rgb24"))
