"""Which part of a clip's picture is to be made anew: painted white, or four numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from worldreel.errors import MediaError, message, shown
from worldreel.video.foreign import read_photo

__all__ = ["read_mask", "region"]


def read_mask(path: str | Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask in a picture for a clip of `size` (width, height): bool `[H, W]`, True where white.

    What is transparent counts as black: some programs save paint alone. Raises `MediaError` if
    the picture has another size than the clip, or marks nothing.
    """
    pixels = read_photo(path, limit=None, backdrop="black").to_numpy()[0]
    found = (pixels.shape[1], pixels.shape[0])
    name = shown(Path(path).name)
    if found != tuple(size):
        came = f"the mask {name} has {found[0]}x{found[1]} pixels"
        nearest = f"{size[0]}x{size[1]}"
        raise MediaError(message(came, "it must have the clip's size", nearest=nearest))
    mask: NDArray[np.bool_] = pixels.mean(-1) >= 128
    if not mask.any():
        raise MediaError(message(f"the mask {name} marks nothing", "paint white what is to change"))
    return mask


def region(text: str, width: int, height: int) -> NDArray[np.bool_]:
    """The mask of a rectangle "x,y,w,h" in a clip of `width` x `height` pixels: bool `[H, W]`.

    x and y count from the top left. Raises `MediaError` if it is none or not inside the clip.
    """
    match = re.fullmatch(r"\s*(-?\d{1,9})" + r"\s*[,; ]\s*(-?\d{1,9})" * 3 + r"\s*", text)
    came = f"the region is {shown(text)}"
    if match is None:
        needed = 'it must be X,Y,WIDTH,HEIGHT in pixels, such as "10,20,64,48"'
        raise MediaError(message(came, needed))
    x, y, w, h = (int(number) for number in match.groups())
    if x < 0 or y < 0 or w < 1 or h < 1 or x + w > width or y + h > height:
        left, top = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
        right, bottom = min(max(x + w, left + 1), width), min(max(y + h, top + 1), height)
        nearest = f"{left},{top},{right - left},{bottom - top}"
        needed = f"it must lie inside the clip's {width}x{height} pixels"
        raise MediaError(message(came, needed, nearest=nearest))
    mask = np.zeros((height, width), np.bool_)
    mask[y : y + h, x : x + w] = True
    return mask
