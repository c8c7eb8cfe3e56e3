"""Where a video's frames come from: memory, or anything that can tell them again from the start.

A `Frames` is asked for a stretch and answers with chunks. Cuts, joins, other rates and other sizes
are such sources themselves, made of others, so that a chain of them handles a chunk at a time and
a minute of video is never in memory whole. What is in memory already and stays small is worked
out at once instead: then nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "CHUNK_BYTES",
    "SMALL_BYTES",
    "Cut",
    "Frames",
    "Held",
    "Joined",
    "Resampled",
    "Resized",
    "bounded",
    "gathered",
    "picked",
    "settled",
    "size_in_bytes",
]

CHUNK_BYTES = 16 * 2**20
"""Pixels handled at a time, unless a single frame has more."""
SMALL_BYTES = 256 * 2**20
"""A video of at most so many bytes of pixels may be held in memory for good."""


class Frames(Protocol):
    """Frames of one size, as often as they are asked for: the same ones every time."""

    def __len__(self) -> int:
        """The number of frames, at least 1."""
        ...

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        ...

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        ...

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        """Frames [first, last) in order, in pieces of at most about 64 MB (or one frame): uint8
        [n, H, W, 3], sRGB. `last` is the end if None or beyond it; each call starts afresh."""
        ...


class Held:
    """Frames in memory: uint8 [T, H, W, 3]."""

    def __init__(self, frames: Tensor) -> None:
        self.frames = frames

    def __len__(self) -> int:
        return self.frames.shape[0]

    @property
    def width(self) -> int:
        return self.frames.shape[2]

    @property
    def height(self) -> int:
        return self.frames.shape[1]

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        if first < _end(self, last):
            yield from self.frames[first : _end(self, last)].split(_step(self.width, self.height))


class Cut:
    """Frames [first, last) of `source`."""

    def __init__(self, source: Frames, first: int, last: int) -> None:
        assert 0 <= first < last <= len(source), f"[{first}, {last}) of {len(source)} frames"
        self.source, self.first, self.last = source, first, last
        self.width, self.height = source.width, source.height

    def __len__(self) -> int:
        return self.last - self.first

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        return self.source.chunks(self.first + first, self.first + _end(self, last))


class Joined:
    """The frames of `sources`, all of one size, one source after the other."""

    def __init__(self, *sources: Frames) -> None:
        self.sources = sources
        self.width, self.height = sources[0].width, sources[0].height
        assert all((s.width, s.height) == (self.width, self.height) for s in sources)

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        end = _end(self, last)
        for source in self.sources:
            if max(first, 0) < min(end, len(source)):
                yield from source.chunks(max(first, 0), min(end, len(source)))
            first, end = first - len(source), end - len(source)


class Resampled:
    """Of `source` the frames at `indices`, an int64 tensor [T] that never goes back."""

    def __init__(self, source: Frames, indices: Tensor) -> None:
        self.source, self.indices = source, indices
        self.width, self.height = source.width, source.height

    def __len__(self) -> int:
        return len(self.indices)

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        wanted = self.indices[first : _end(self, last)]
        if not len(wanted):
            return
        place, step = int(wanted[0]), _step(self.width, self.height)
        for chunk in self.source.chunks(place, int(wanted[-1]) + 1):
            here = wanted[(wanted >= place) & (wanted < place + len(chunk))] - place
            for some in here.split(step) if len(here) else ():
                yield chunk[some]
            place += len(chunk)


class Resized:
    """The frames of `source` at another size in pixels, bicubic without aliasing."""

    def __init__(self, source: Frames, width: int, height: int) -> None:
        self.source, self.width, self.height = source, width, height

    def __len__(self) -> int:
        return len(self.source)

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        size = (self.height, self.width)
        step = min(_step(*size), _step(self.source.width, self.source.height))
        for chunk in self.source.chunks(first, last):
            for part in chunk.split(step):
                pixels = part.permute(0, 3, 1, 2)
                pixels = F.interpolate(pixels, size=size, mode="bicubic", antialias=True)
                yield pixels.permute(0, 2, 3, 1).contiguous()


def bounded(source: Frames, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
    """`source.chunks(first, last)`, checked, and split wherever a chunk is larger than usual."""
    missing = max(0, _end(source, last) - first)
    for chunk in source.chunks(first, last) if missing else ():
        assert chunk.dtype == torch.uint8, f"a source gave {chunk.dtype}"
        assert chunk.shape[1:] == (source.height, source.width, 3), f"{tuple(chunk.shape)} frames"
        missing -= len(chunk)
        yield from chunk.split(_step(source.width, source.height))
    assert missing == 0, f"a source of {len(source)} frames left {missing} out"


def gathered(source: Frames) -> Tensor:
    """All frames in one tensor, uint8 [T, H, W, 3]."""
    if isinstance(source, Held):
        return source.frames
    frames = torch.empty(len(source), source.height, source.width, 3, dtype=torch.uint8)
    place = 0
    for chunk in bounded(source):
        frames[place : place + len(chunk)] = chunk
        place += len(chunk)
    return frames


def picked(source: Frames, indices: Sequence[int]) -> Tensor:
    """The frames at `indices`, in any order, in one pass: uint8 [len(indices), H, W, 3]."""
    assert all(0 <= i < len(source) for i in indices), f"{indices} of {len(source)} frames"
    if isinstance(source, Held):
        return source.frames[list(indices)]
    order = sorted(set(indices))
    frames = gathered(Resampled(source, torch.tensor(order)))
    return frames[[order.index(i) for i in indices]]


def settled(made: Frames, *sources: Frames) -> Frames:
    """`made` (out of `sources`) worked out at once if they are in memory and it is small."""
    held = all(isinstance(source, Held) for source in sources)
    return Held(gathered(made)) if held and size_in_bytes(made) <= SMALL_BYTES else made


def size_in_bytes(source: Frames) -> int:
    """Bytes that all its frames take."""
    return 3 * len(source) * source.width * source.height


def _step(width: int, height: int) -> int:
    """Frames of this size in a chunk."""
    return max(1, CHUNK_BYTES // (3 * width * height))


def _end(source: Frames, last: int | None) -> int:
    return len(source) if last is None else min(last, len(source))
