"""Fitting given pictures of any shape to a native size, saying in one line what that cost.

`crop` keeps the middle: nothing is invented and all that is shown is real, so it is the default.
`pad` keeps everything and fills the rest with the picture's own edge, averaged and smoothed until
no detail is left. A mirrored or blurred copy of the picture would move with it, and a model would
take that for more of the scene; black bars would be a hard new edge. What the smoothed edge shows
changes as slowly as the average of many pixels, so it holds steady. `stretch` bends the shape.

Pixels are area-filtered (bicubic with its support scaled), so fine texture does not flicker, and a
video that already has the size comes back as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from worldreel.errors import MediaError, message, shown
from worldreel.video.video import Video

__all__ = ["How", "fit", "fit_mask"]

How = Literal["crop", "pad", "stretch"]

_UNSEEN = 0.005
"""The share of a side that may go without a word: less than a pixel of a native size."""
_EDGE = 0.04
"""The share of the picture that its smoothed edge is averaged over."""
_SUPPORT = 4
"""Colours along a smoothed edge, with smooth changes between them."""


def fit(video: Video, width: int, height: int, *, how: str = "crop") -> tuple[Video, str]:
    """`video` at exactly `width` x `height` pixels, and one line that says what was done.

    The line is empty where the picture was only scaled. Raises `MediaError` for another `how`.
    """
    _check(how)
    if (video.width, video.height) == (width, height):
        return video, ""
    plan = _plan(video.width, video.height, width, height, how)
    frames = np.empty((len(video), height, width, 3), np.uint8)
    made = 0
    for chunk in video.chunks():
        for pixels in chunk.numpy():
            frames[made] = _fitted(Image.fromarray(pixels), plan)
            made += 1
    return Video(torch.from_numpy(frames), fps=video.fps), plan.line


def fit_mask(
    mask: NDArray[np.bool_], width: int, height: int, *, how: str = "crop"
) -> NDArray[np.bool_]:
    """A mask `[H, W]` of the given clip, laid on its pixels after `fit`: bool `[height, width]`.

    A pixel counts as marked if the mask touches it, since a rim of what was to go would stay
    visible; bars that `pad` adds are never marked. Raises `MediaError` for another `how`.
    """
    _check(how)
    if mask.shape == (height, width):
        return mask
    plan = _plan(mask.shape[1], mask.shape[0], width, height, how)
    # In floats: a touch of less than 1/255 would round to nothing.
    image = Image.fromarray(mask.astype(np.float32))
    filtered = image.resize(plan.inner, Image.Resampling.BOX, box=plan.box)
    found = np.zeros((height, width), np.bool_)
    left, top = plan.place
    found[top : top + plan.inner[1], left : left + plan.inner[0]] = np.asarray(filtered) > 1e-4
    return found


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """`box` of the source (left, top, right, bottom; fractions of pixels) is scaled to `inner`
    (width, height) and put at `place` (left, top) of a page of `size`; `line` says so."""

    box: tuple[float, float, float, float]
    inner: tuple[int, int]
    place: tuple[int, int]
    size: tuple[int, int]
    line: str


def _check(how: str) -> None:
    if how not in get_args(How):
        needed = f"it must be {', '.join(get_args(How)[:-1])} or {get_args(How)[-1]}"
        raise MediaError(message(f"the way to fit is {shown(how)}", needed, nearest="crop"))


def _plan(w: int, h: int, width: int, height: int, how: str) -> _Plan:
    """How `w` x `h` pixels become `width` x `height`."""
    wide = (w / h) / (width / height)  # above 1: the source is the wider one
    lost = 1 - min(wide, 1 / wide)
    where = "at the sides" if wide > 1 else "at top and bottom"
    came, share = f"{w}x{h} to {width}x{height}", f"{max(1, round(100 * lost))} %"
    box, inner = (0.0, 0.0, float(w), float(h)), (width, height)
    line = f"stretched {came} by {share}"
    if how == "crop":
        keep_w, keep_h = (w / wide, float(h)) if wide > 1 else (float(w), h * wide)
        left, top = (w - keep_w) / 2, (h - keep_h) / 2
        # Sums of fractions may pass the edge by a last bit, which Pillow refuses.
        box = (left, top, min(w, left + keep_w), min(h, top + keep_h))
        line = f"cropped {came} by {share} {where}"
    elif how == "pad":
        inner = (width, max(1, round(height / wide))) if wide > 1 else inner
        inner = (max(1, round(width * wide)), height) if wide < 1 else inner
        edges = "above and below" if wide > 1 else "at the sides"
        line = f"padded {came}: {share} of it is smoothed edge {edges}"
    place = ((width - inner[0]) // 2, (height - inner[1]) // 2)
    line = line if lost > _UNSEEN else ""
    return _Plan(box=box, inner=inner, place=place, size=(width, height), line=line)


def _fitted(image: Image.Image, plan: _Plan) -> NDArray[np.uint8]:
    """One picture as `plan` says, uint8 `[H, W, 3]`."""
    inner = image.resize(plan.inner, Image.Resampling.BICUBIC, box=plan.box)
    if plan.inner == plan.size:
        return np.asarray(inner)
    page = Image.new("RGB", plan.size)
    page.paste(inner, plan.place)
    (left, top), (w, h), (width, height) = plan.place, plan.inner, plan.size
    for low, high in ((0, left), (left + w, width)):
        if low < high:
            near = max(1, round(w * _EDGE))
            strip = inner.crop((0, 0, near, h) if low == 0 else (w - near, 0, w, h))
            page.paste(_smooth(strip, (1, min(h, _SUPPORT)), (high - low, height)), (low, 0))
    for low, high in ((0, top), (top + h, height)):
        if low < high:
            near = max(1, round(h * _EDGE))
            strip = inner.crop((0, 0, w, near) if low == 0 else (0, h - near, w, h))
            page.paste(_smooth(strip, (min(w, _SUPPORT), 1), (width, high - low)), (0, low))
    return np.asarray(page)


def _smooth(strip: Image.Image, support: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """The few mean colours along a strip, spread over `size` without a visible step."""
    return strip.resize(support, Image.Resampling.BOX).resize(size, Image.Resampling.BICUBIC)
