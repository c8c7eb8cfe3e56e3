"""Frames plus fps: the one value that everything here makes, takes and shows.

Frame i is on screen from i / fps to (i + 1) / fps seconds, so a video of T frames lasts T / fps.
Cuts fall between frames, at the nearest boundary; `video[:a] + video[a:]` is the video itself.
The frames may be in memory or come from a source that makes them when asked (`source.py`).
"""

from __future__ import annotations

import base64
import html
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from worldreel.errors import DurationError, MediaError, SizeError, message
from worldreel.latents import Latents, keep
from worldreel.shapes import check_size
from worldreel.video.pixels import shown, signed
from worldreel.video.source import (
    SMALL_BYTES,
    Cut,
    Frames,
    Held,
    Joined,
    Resampled,
    Resized,
    bounded,
    gathered,
    picked,
    settled,
    size_in_bytes,
)

__all__ = ["Seal", "Video"]

Seal: TypeAlias = Callable[[Path, str], None]
"""Is given a finished file under a temporary name, and the name that it will get."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Video:
    """Frames and their rate: `Video(tensor, fps=12)`, or `Video.of(source, fps=12)`.

    `source` holds the frames or makes them; given a tensor, it is uint8 [T, H, W, 3], sRGB, and
    kept on the CPU. `fps` frames a second. `recipe` says how exactly these frames were made,
    `latents` what they were decoded from, `seal` what is to be done to a file of them before it
    gets its name: what changes the frames gives a video without any of these.

    Raises `MediaError` for other tensors, `DurationError` for a frame rate that is none.
    """

    source: Frames
    _: KW_ONLY
    fps: float
    recipe: Mapping[str, Any] | None
    latents: Latents | None
    seal: Seal | None

    def __init__(
        self,
        source: Tensor | Frames,
        *,
        fps: float,
        recipe: Mapping[str, Any] | None = None,
        latents: Latents | None = None,
        seal: Seal | None = None,
    ) -> None:
        if isinstance(source, Tensor):
            source = Held(_checked(source))
        elif isinstance(source, Video):
            source = source.source
        if len(source) < 1 or source.width < 1 or source.height < 1:
            came = f"the frames are {[len(source), source.height, source.width, 3]}"
            raise MediaError(message(came, "a video has at least one frame and one pixel"))
        _check_rate(fps)
        fields = {"source": source, "fps": float(fps), "recipe": recipe, "latents": latents}
        fields |= {"seal": seal}
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        source: Frames,
        *,
        fps: float,
        recipe: Mapping[str, Any] | None = None,
        latents: Latents | None = None,
    ) -> Video:
        """The video of what `source` (another video, too) makes when asked; raises as `Video`."""
        return cls(source, fps=fps, recipe=recipe, latents=latents)

    @property
    def frames(self) -> Tensor:
        """All frames in memory, uint8 [T, H, W, 3]; made anew each time if they are many."""
        frames = gathered(self.source)
        if size_in_bytes(self.source) <= SMALL_BYTES:
            # A video of the same frames: only what they cost changes.
            object.__setattr__(self, "source", Held(frames))
        return frames

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[Tensor]:
        """Frames [first, last) a few at a time, uint8 [n, H, W, 3] of some 16 MB at most."""
        return bounded(self.source, first, last)

    def pick(self, indices: Sequence[int]) -> Tensor:
        """The frames at `indices`, uint8 [len(indices), H, W, 3], without having all in memory
        unless they are few."""
        if size_in_bytes(self.source) <= SMALL_BYTES:
            return self.frames[list(indices)]
        return picked(self.source, indices)

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return self.source.width

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return self.source.height

    @property
    def seconds(self) -> float:
        """Duration, T / fps."""
        return len(self) / self.fps

    def __len__(self) -> int:
        """The number of frames, T."""
        return len(self.source)

    def __repr__(self) -> str:
        return (
            f"Video({len(self)} frames of {self.width}x{self.height}, "
            f"{self.fps:g} fps, {self.seconds:.2f} s)"
        )

    def __getitem__(self, span: slice) -> Video:
        """`video[1.5:3.0]`: the frames between two times in seconds; negative from the end.

        Raises `DurationError` if nothing lies between them.
        """
        if not isinstance(span, slice) or span.step is not None:
            came = f"video[{span}] is no span of time"
            raise DurationError(message(came, "give seconds as in video[1.5:3.0]"))
        first, last = (self._frame_at(t, end) for t, end in ((span.start, 0), (span.stop, -1)))
        if first >= last:
            came = f"nothing lies from {span.start} to {span.stop} seconds"
            raise DurationError(message(came, f"the video lasts {self.seconds:g} seconds"))
        if isinstance(self.source, Held):
            return Video(self.source.frames[first:last], fps=self.fps)
        return Video(Cut(self.source, first, last), fps=self.fps)

    def _frame_at(self, seconds: float | None, end: int) -> int:
        """The frame boundary nearest `seconds`; `end` (0 or -1) says which end None means."""
        if seconds is None:
            return len(self) if end else 0
        if math.isnan(seconds):
            came = "a cut is at nan seconds"
            raise DurationError(message(came, f"the video lasts {self.seconds:g} seconds"))
        seconds = max(seconds + self.seconds, 0.0) if seconds < 0 else seconds
        return math.floor(min(seconds, self.seconds) * self.fps + 0.5)

    def __add__(self, other: Video) -> Video:
        """This video and then `other`; `SizeError` or `DurationError` unless they match."""
        if not isinstance(other, Video):
            return NotImplemented
        if (self.width, self.height) != (other.width, other.height):
            came = f"the videos are {self.width}x{self.height} and {other.width}x{other.height}"
            needed = f"join equal sizes: the second one's resize({self.width}, {self.height})"
            raise SizeError(message(came, needed))
        if not math.isclose(self.fps, other.fps, rel_tol=1e-4):
            came = f"the videos have {self.fps:g} and {other.fps:g} frames a second"
            raise DurationError(
                message(came, f"join equal rates: the second one's resample({self.fps:g})")
            )
        sources = (self.source, other.source)
        return Video(settled(Joined(*sources), *sources), fps=self.fps)

    def to_numpy(self) -> NDArray[np.uint8]:
        """The frames as uint8 [T, H, W, 3]."""
        frames: NDArray[np.uint8] = self.frames.numpy()
        return frames

    def to_pil(self) -> list[Image.Image]:
        """The frames as T Pillow images in RGB."""
        return [Image.fromarray(frame) for frame in self.to_numpy()]

    def to_tensor(self) -> Tensor:
        """The frames as networks take them: float32 [C, T, H, W] in [-1, 1]."""
        return signed(self.frames)

    @classmethod
    def from_tensor(
        cls, frames: Tensor, *, fps: float, recipe: Mapping[str, Any] | None = None
    ) -> Video:
        """The video of float frames [C, T, H, W] in [-1, 1] (more is clipped)."""
        return cls(shown(frames).contiguous(), fps=fps, recipe=recipe)

    @classmethod
    def open(cls, path: str | Path, *, start: float = 0.0, seconds: float | None = None) -> Video:
        """The video, picture or animation in a file; optionally `seconds` of it from `start`.

        A phone's rotation is applied, pixels made square, a changing frame rate made constant.
        Raises `MediaError` if there is none or it is damaged.
        """
        from worldreel.video.read import read_video

        return read_video(Path(path), start=start, seconds=seconds)

    def save(self, path: str | Path, *, progress: Callable[[int, int], None] | None = None) -> Path:
        """Write .mp4, .gif, .webp or (one frame) .png, the recipe inside; returns the path.

        All or nothing: an error or Ctrl-C leaves no half-written file, and an older file at the
        same place untouched. `progress` is told (frames written, frames in total) after each.
        Latents go into the local store, where the recipe's name for them is found again.
        Raises `OutputError`.
        """
        from worldreel.video.write import save_video

        written = save_video(self, Path(path), progress=progress)
        if isinstance(self.latents, Latents):
            keep(self.latents)
        return written

    def resize(self, width: int, height: int) -> Video:
        """The same video at another size in pixels, bicubic without aliasing.

        Raises `SizeError` for sizes beyond what can be asked for.
        """
        check_size(width, height)
        if (width, height) == (self.width, self.height):
            return self
        return Video(settled(Resized(self.source, width, height), self.source), fps=self.fps)

    def resample(self, fps: float) -> Video:
        """The same duration (to half a frame) at another frame rate.

        Each new frame is the one on screen at its middle: frames are repeated or left out, never
        blended, so nothing ghosts.
        """
        if fps == self.fps:
            return self
        _check_rate(fps)
        count = max(1, math.floor(self.seconds * fps + 0.5))
        times = (torch.arange(count, dtype=torch.float64) + 0.5) * (self.fps / fps)
        made = Resampled(self.source, times.long().clamp(max=len(self) - 1))
        return Video(settled(made, self.source), fps=fps)

    def _repr_html_(self) -> str:
        """What Jupyter shows: the video itself, inside the page."""
        still = len(self) == 1
        suffix, mime = ("png", "image/png") if still else ("mp4", "video/mp4")
        with tempfile.TemporaryDirectory() as folder:
            data = self.save(Path(folder) / f"video.{suffix}").read_bytes()
        source = f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
        prompt = html.escape(str((self.recipe or {}).get("prompt", repr(self))), quote=True)
        # Small native sizes are shown larger; the browser scales them smoothly.
        style = f"width:{min(max(self.width, 384), 960)}px;max-width:100%;border-radius:8px"
        if still:
            return f'<img src="{source}" alt="{prompt}" style="{style}">'
        play = "autoplay loop muted playsinline controls"
        return f'<video src="{source}" title="{prompt}" style="{style}" {play}></video>'


def _checked(frames: Tensor) -> Tensor:
    """`frames` on the CPU, apart from any graph; `MediaError` unless uint8 [T, H, W, 3]."""
    if frames.dtype != torch.uint8 or frames.ndim != 4 or frames.shape[-1] != 3:
        came = f"the frames are {frames.dtype} {list(frames.shape)}"
        raise MediaError(message(came, "they must be uint8 [T, H, W, 3]"))
    return frames.detach().cpu()


def _check_rate(fps: float) -> None:
    if not 0 < fps <= 1000:
        came = f"the frame rate is {fps}"
        raise DurationError(message(came, "it must be more than 0 and at most 1000"))
