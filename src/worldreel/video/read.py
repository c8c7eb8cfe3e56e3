"""Reading whatever people have: phone clips, screen recordings, animations, pictures.

What comes out is plain: sRGB frames, upright (the rotation tag is applied), with square pixels,
at a constant rate. Files come from strangers, so nothing but the file itself is opened (play lists
that point elsewhere are refused) and what would not fit into memory is refused too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from worldreel.errors import MediaError, message, shown
from worldreel.recipe import IMAGE_DESCRIPTION, unpack
from worldreel.video.film import CONTAINERS
from worldreel.video.video import Video
from worldreel.video.write import EXACT

__all__ = ["read_video"]

STILL_FPS = 12.0
"""The frame rate that a picture is given."""

_MAX_FPS = 120.0
_MAX_BYTES = 12 * 2**30


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """A frame uint8 [H, W, 3] and when it appears, in seconds from the start of the file."""

    pixels: NDArray[np.uint8]
    time: float


def read_video(path: Path, *, start: float = 0.0, seconds: float | None = None) -> Video:
    """The video in `path`, or `seconds` of it from `start`; raises `MediaError`."""
    if not path.is_file():
        needed = "give a video or picture file"
        raise MediaError(message(f"there is no file {shown(str(path), limit=200)}", needed))
    if not 0 <= start < math.inf or (seconds is not None and not seconds > 0):
        came = f"{seconds} seconds from {start} were asked for"
        raise MediaError(message(came, "the start must be 0 or more and the length more than 0"))
    stop = math.inf if seconds is None else start + seconds
    try:
        found = _pictures(path, stop)
        if found is None:
            found = _film(path, start, stop)
    except MediaError:
        raise
    except Exception as error:  # decoders meet broken files with errors of every kind
        came = f"{shown(path.name)} cannot be read as a video or picture"
        raise MediaError(message(came, "it is damaged, of an unknown kind or too large")) from error
    return _constant(path, found, start, stop)


@dataclass(frozen=True, kw_only=True)
class _Film:
    """Decoded frames, the time at which the last one ends, and a rate if the file names one."""

    frames: list[_Shown]
    end: float
    rate: float | None
    remark: str | None


def _pictures(path: Path, stop: float) -> _Film | None:
    """What Pillow can read: pictures, GIF, animated WebP and PNG; None for everything else."""
    frames: list[_Shown] = []
    time, held = 0.0, 0
    try:
        image = Image.open(path)
    except UnidentifiedImageError:
        return None
    with image:
        remark = image.info.get("comment") or image.info.get("worldreel")
        remark = remark or image.getexif().get(IMAGE_DESCRIPTION)
        for frame in ImageSequence.Iterator(image):
            # Pillow keeps a GIF's transparency; films have none, so it is laid on white.
            upright = ImageOps.exif_transpose(frame).convert("RGBA")
            flat = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
            pixels = np.array(flat.convert("RGB"))
            held = _held(path, held, pixels)
            frames.append(_Shown(pixels=pixels, time=time))
            # Browsers take a missing duration for 100 ms, and so does everybody by now.
            time += (float(frame.info.get("duration", 0)) or 100.0) / 1000
            if time >= stop:
                break
    text = remark.decode("utf-8", "replace") if isinstance(remark, bytes) else remark
    still = len(frames) == 1
    return _Film(
        frames=frames,
        end=1 / STILL_FPS if still else time,
        rate=STILL_FPS if still else None,
        remark=text if isinstance(text, str) else None,
    )


def _film(path: Path, start: float, stop: float) -> _Film:
    """What FFmpeg can read, from the last key frame before `start` until `stop`."""
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
        if not container.streams.video:
            raise MediaError(message(f"{shown(path.name)} holds no pictures", "give a video"))
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        if start > 0 and container.duration:
            origin = container.start_time or 0
            container.seek(origin + int(min(start * 1e6, container.duration)), backward=True)
        rate = float(stream.average_rate or stream.guessed_rate or 0) or None
        frames, end = _decoded(path, container, start, stop, rate or 25.0)
        remark = container.metadata.get("comment")
        return _Film(frames=frames, end=end, rate=rate, remark=remark)


def _decoded(
    path: Path, container: av.container.InputContainer, start: float, stop: float, rate: float
) -> tuple[list[_Shown], float]:
    """Frames on screen between `start` and `stop`, and the time at which the last one ends."""
    origin = (container.start_time or 0) / 1e6
    size: tuple[int, int] | None = None
    frames: list[_Shown] = []
    held = index = 0
    for frame in container.decode(video=0):
        time = index / rate if frame.time is None else max(0.0, frame.time - origin)
        index += 1
        if frames and time >= stop - 1e-6:
            return frames, stop  # the last frame stays on screen until then
        if size is None:
            aspect = container.streams.video[0].sample_aspect_ratio
            width = frame.width if not aspect else max(1, round(frame.width * float(aspect)))
            size = (width, frame.height)
        now = _Shown(pixels=_upright(frame, size), time=time)
        if time <= start + 1e-6:
            frames = [now]  # it replaces an earlier one, which has left the screen by `start`
            continue
        held = _held(path, held, now.pixels)
        frames.append(now)
    return frames, frames[-1].time + 1 / rate if frames else 0.0


def _upright(frame: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """`frame` in RGB at `size` (width, height), turned as its rotation tag says."""
    width, height = size
    pixels = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation=EXACT)
    turned = np.rot90(pixels, round(frame.rotation / 90))  # both count counterclockwise
    return np.ascontiguousarray(turned, dtype=np.uint8)


def _held(path: Path, held: int, pixels: NDArray[np.uint8]) -> int:
    """Bytes held with one more frame; `MediaError` when that is more than we want to hold."""
    if held + pixels.nbytes > _MAX_BYTES:
        came = f"{shown(path.name)} is too long to be held in memory"
        raise MediaError(message(came, "read a part of it with start and seconds"))
    return held + pixels.nbytes


def _constant(path: Path, film: _Film, start: float, stop: float) -> Video:
    """`film` from `start` to `stop` at a constant rate, its own if its frames keep to it."""
    if not film.frames or film.end <= start:
        came = f"{shown(path.name)} has no pictures at {start:g} seconds"
        raise MediaError(message(came, "it may be damaged or shorter than that"))
    times = np.array([frame.time for frame in film.frames])
    rate, even = _pace(times, film)
    if even:  # cut at the nearest boundaries between frames, as `Video` does
        half = 0.5 / rate
        indices = np.flatnonzero((times >= start - half) & (times < stop - half))
        indices = indices if len(indices) else np.array([0])
    else:
        first, last = max(start, times[0]), min(stop, film.end)
        count = max(1, round((last - first) * rate))
        shown_at = first + (np.arange(count) + 0.5) / rate
        indices = np.clip(np.searchsorted(times, shown_at, side="right") - 1, 0, len(times) - 1)
    _held(path, len(indices) * film.frames[0].pixels.nbytes, film.frames[0].pixels)
    frames = torch.from_numpy(np.stack([film.frames[int(i)].pixels for i in indices]))
    whole = start == 0 and stop == math.inf
    recipe = unpack(film.remark) if whole and film.remark else None
    return Video(frames, fps=rate, recipe=recipe)


def _pace(times: NDArray[np.float64], film: _Film) -> tuple[float, bool]:
    """The frame rate to use, and whether the frames at `times` already keep to it."""
    gaps = np.diff([*times, film.end])
    if film.rate is not None and np.all(np.abs(gaps * film.rate - 1) < 0.1):
        return film.rate, True
    if film.rate is not None and len(gaps) == 1:
        return min(_MAX_FPS, film.rate), False
    # Steady at its own pace (to the 1/100 s of a GIF), or changing: then the finest usual gap, so
    # that no motion is lost.
    middle = float(np.median(gaps))
    if np.all(np.abs(gaps - middle) <= max(0.0105, 0.1 * middle)):
        return _tidy(min(_MAX_FPS, 1 / float(np.mean(gaps)))), True
    finest = float(np.percentile(gaps[gaps > 0], 10))
    return _tidy(min(_MAX_FPS, 1 / finest)), False


def _tidy(rate: float) -> float:
    """`rate`, or the whole number that it means: containers round times to milliseconds."""
    return float(round(rate)) if abs(rate - round(rate)) < 0.02 * rate else rate
