"""Pixels ↔ latents ↔ patches: all the shape arithmetic, once, and without torch.

A codec that is causal in time keeps its first frame alone and then packs `temporal` frames into
each further latent frame, so that a still is simply a video of one frame:

    frames T = 1 + temporal·n   ↔   latent frames t = 1 + n
    pixels H × W                ↔   latents h × w = H / spatial × W / spatial
    latents t × h × w           ↔   patches N = (t / p_t)·(h / p_h)·(w / p_w)

Sizes are written (width, height), as people say them; tensors are ordered T, H, W.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from worldreel.errors import SizeError, message, shown

__all__ = [
    "MAX_ASPECT",
    "MAX_SIDE",
    "MIN_SIDE",
    "aspect_size",
    "check_size",
    "fit_size",
    "frames_of_latents",
    "latent_frames",
    "latent_of_frame",
    "latent_shape",
    "native_size",
    "nearest_frames",
    "parse_aspect",
    "parse_size",
    "patch_count",
    "patch_grid",
]

MIN_SIDE, MAX_SIDE, MAX_ASPECT = 64, 1920, 3.0
"""What can be asked for: pixels a side, and the longer side over the shorter."""


def latent_frames(frames: int, *, temporal: int = 4) -> int:
    """Latent frames t of `frames` = 1 + temporal·n frames; other counts are an invariant broken."""
    assert frames >= 1 and (frames - 1) % temporal == 0, f"{frames} frames are not 1 + {temporal}·n"
    return 1 + (frames - 1) // temporal


def latent_of_frame(frame: int, *, temporal: int = 4) -> int:
    """The latent frame that holds a frame: 0 is alone, then `temporal` at a time."""
    return -(-frame // temporal)


def frames_of_latents(latents: int, *, temporal: int = 4) -> int:
    """Frames T that `latents` latent frames decode to."""
    assert latents >= 1, latents
    return 1 + (latents - 1) * temporal


def latent_shape(
    frames: int, height: int, width: int, *, temporal: int = 4, spatial: int = 8
) -> tuple[int, int, int]:
    """The latents' (t, h, w) for `frames` = 1 + temporal·n frames of `height` × `width` pixels."""
    assert height > 0 and height % spatial == 0, f"height {height} is no multiple of {spatial}"
    assert width > 0 and width % spatial == 0, f"width {width} is no multiple of {spatial}"
    return latent_frames(frames, temporal=temporal), height // spatial, width // spatial


def patch_grid(
    latents: tuple[int, int, int], patch: tuple[int, int, int] = (1, 2, 2)
) -> tuple[int, int, int]:
    """How many patches the (t, h, w) of latents makes along each axis."""
    assert all(n % p == 0 for n, p in zip(latents, patch, strict=True)), (latents, patch)
    t, h, w = (n // p for n, p in zip(latents, patch, strict=True))
    return t, h, w


def patch_count(latents: tuple[int, int, int], patch: tuple[int, int, int] = (1, 2, 2)) -> int:
    """N, the number of patches of a clip: the length of the transformer's sequence."""
    return math.prod(patch_grid(latents, patch))


def nearest_frames(seconds: float, fps: float, *, temporal: int = 4) -> int:
    """The count 1 + temporal·n whose duration is nearest `seconds` at `fps` (ties: the longer)."""
    assert seconds >= 0 and fps > 0, (seconds, fps)
    return 1 + temporal * max(0, math.floor((seconds * fps - 1) / temporal + 0.5))


def native_size(width: int, height: int, natives: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """The native (width, height) nearest in aspect to `width` × `height`.

    Distance is |log| of the ratio of the aspects, so that 2:1 is as far from square as 1:2 is.
    Among natives of equally near aspect the one nearest in area wins.
    """
    aspect, area = math.log(width / height), math.log(width * height)

    def distance(size: tuple[int, int]) -> tuple[float, float]:
        w, h = size
        # Rounded, so that 128×72 and 256×144 tie in spite of the last bits.
        return round(abs(math.log(w / h) - aspect), 6), abs(math.log(w * h) - area)

    found = list(natives)
    assert found, "a model knows at least one native size"
    return min(found, key=distance)


def fit_size(width: float, height: float) -> tuple[int, int]:
    """The nearest (width, height) that can be made: sides within limits, aspect within 3:1."""

    def clamp(side: float) -> int:
        return round(min(max(side, MIN_SIDE), MAX_SIDE))

    w, h = clamp(width), clamp(height)
    # Keep the longer side and widen the shorter: never fewer pixels than were asked for.
    return max(w, math.ceil(h / MAX_ASPECT)), max(h, math.ceil(w / MAX_ASPECT))


def check_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) back if both are 64..1920 with an aspect up to 3:1; `SizeError` otherwise."""
    came = f"the size is {width}x{height}"
    nearest = "{}x{}".format(*fit_size(width, height))
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        needed = f"each side must be {MIN_SIDE} to {MAX_SIDE} pixels"
    elif max(width, height) > MAX_ASPECT * min(width, height):
        needed = f"the longer side may be at most {MAX_ASPECT:g} times the shorter"
    else:
        return width, height
    raise SizeError(message(came, needed, nearest=nearest))


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of a size as typed, such as "1280x720"; `SizeError` if it is none."""
    match = re.fullmatch(r"\s*([0-9]{1,9})\s*[xX×*]\s*([0-9]{1,9})\s*", text)
    if match is None:
        needed = "it must be WIDTHxHEIGHT in pixels, such as 1280x720"
        raise SizeError(message(f"the size is {shown(text)}", needed))
    return check_size(int(match[1]), int(match[2]))


def parse_aspect(text: str) -> float:
    """Width over height of "16:9", "16/9", "16x9" or "1.78"; `SizeError` if none or too thin."""
    number = r"([0-9]{1,6}(?:\.[0-9]{1,6})?)"
    match = re.fullmatch(rf"\s*{number}\s*(?:[:/xX×]\s*{number}\s*)?", text)
    came = f"the aspect is {shown(text)}"
    if match is None or float(match[1]) == 0 or float(match[2] or 1) == 0:
        raise SizeError(message(came, "it must be WIDTH:HEIGHT, such as 16:9, 1:1 or 9:16"))
    aspect = float(match[1]) / float(match[2] or 1)
    if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT:
        nearest = "3:1" if aspect > 1 else "1:3"
        raise SizeError(message(came, "it may be 1:3 to 3:1", nearest=nearest))
    return aspect


def aspect_size(aspect: float, *, area: float) -> tuple[int, int]:
    """An even (width, height) of about `area` pixels and the given aspect, within the limits.

    Even, because H.264 in yuv420p, which every player plays, has no odd sides.
    """
    w, h = fit_size(math.sqrt(area * aspect), math.sqrt(area / aspect))
    return w + w % 2, h + h % 2
