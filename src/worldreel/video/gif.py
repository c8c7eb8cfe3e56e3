"""GIF, written frame by frame: Pillow would hold all frames until the last one has come.

One palette serves the whole clip. Of each frame only the rectangle is written that differs from
the one before; a frame that does not differ at all only keeps the one before on screen longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import GifImagePlugin, Image, ImageChops

__all__ = ["palette", "parts"]

_LONGEST = 655_350
"""Milliseconds that a frame can be on screen: 16 bits of hundredths of a second."""
_PIXEL = (0, 0, 1, 1)


def palette(samples: NDArray[np.uint8]) -> Image.Image:
    """An image whose palette suits `samples`, uint8 [N, H, W, 3]."""
    sheet = Image.fromarray(samples.reshape(-1, *samples.shape[2:]))
    return sheet.quantize(256, method=Image.Quantize.MEDIANCUT)


def parts(
    frames: Iterable[Image.Image],
    durations: Sequence[int],
    palette: Image.Image,
    remark: bytes | None = None,
) -> Iterator[bytes]:
    """The bytes of an endless GIF of `frames` (RGB, one size), one after the other.

    Args:
        durations: milliseconds a frame, multiples of 10.
        palette: an image that has it.
        remark: the file's comment.
    """
    last: Image.Image | None = None
    waiting: tuple[Image.Image, tuple[int, int, int, int]] | None = None
    spent = 0
    for frame, duration in zip(frames, durations, strict=True):
        duration = min(duration, _LONGEST)
        now = frame.quantize(palette=palette)
        if last is None or waiting is None:
            info = {"loop": 0} | ({"comment": remark} if remark else {})
            yield b"".join(GifImagePlugin.getheader(now.copy(), info=info)[0])
            box = (0, 0, *now.size)
        else:
            # The indices are compared: equal ones are equal colours, the palette being the same.
            differs = ImageChops.difference(_plain(now), _plain(last)).getbbox()
            if differs is None and spent + duration <= _LONGEST:
                spent += duration
                continue
            box = differs or _PIXEL
            yield _written(*waiting, spent)
        last, waiting, spent = now, (now, box), duration
    assert waiting is not None, "a GIF has at least one frame"
    yield _written(*waiting, spent) + b";"


def _plain(image: Image.Image) -> Image.Image:
    """The indices of a palette image as if they were greys."""
    return Image.frombuffer("L", image.size, image.tobytes(), "raw", "L", 0, 1)


def _written(image: Image.Image, box: tuple[int, int, int, int], duration: int) -> bytes:
    """The part `box` of `image` as a block of its own, shown over what was there before."""
    part = image.crop(box)
    return b"".join(GifImagePlugin.getdata(part, box[:2], duration=duration, disposal=1))
