"""Which frames of a video are looked at, decided while it streams past.

At least `rate` a second, the first, the last, and each one that differs from the last chosen by
more than `change` anywhere: frames are reduced to 16×16 means of colour, and what counts is the
largest difference of one mean,

    max over places, colours of |mean(frame) − mean(last chosen)| / 255.

A cut changes nearly everything and so is chosen too; something small that stands there for a
single frame changes its own place, however still the rest is. Memory: one frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Chooser", "blurred"]

_PLACES = 16


@dataclass(kw_only=True)
class Chooser:
    """Chooses among the frames of one video; its state is what has streamed past so far.

    Args:
        fps: frames a second of the video.
        rate: frames a second to choose at least.
        change: difference, in 0..1, from which a frame is chosen beyond that.
    """

    fps: float
    rate: float = 4.0
    change: float = 0.05
    seen: int = 0
    chosen: int = 0
    _means: Tensor | None = field(default=None, init=False)
    _at: int = field(default=0, init=False)
    _last: Tensor | None = field(default=None, init=False)

    def choose(self, chunk: Tensor) -> tuple[list[int], Tensor]:
        """Of the next frames uint8 [n, H, W, 3]: the chosen ones' numbers in the video, and they
        themselves [m, H, W, 3]."""
        if not len(chunk):
            return [], chunk
        means = _means(chunk)
        picked = [i for i in range(len(chunk)) if self._wanted(means[i], self.seen + i)]
        numbers = [self.seen + i for i in picked]
        self.seen += len(chunk)
        self.chosen += len(picked)
        self._last = None if numbers and numbers[-1] == self.seen - 1 else chunk[-1:].clone()
        return numbers, chunk[picked]

    def end(self) -> tuple[list[int], Tensor | None]:
        """The video's last frame, if it has not been chosen yet."""
        if self._last is None:
            return [], None
        self.chosen += 1
        last, self._last = self._last, None
        return [self.seen - 1], last

    def _wanted(self, means: Tensor, number: int) -> bool:
        before = self._means
        if (
            before is None
            or (number + 1 - self._at) / self.fps > 1 / self.rate + 1e-9
            or float((means - before).abs().max()) > self.change
        ):
            self._means, self._at = means, number
            return True
        return False


def _means(frames: Tensor) -> Tensor:
    """Means of 16×16 places in 0..1, [n, 3, 16, 16]; a frame at a time, to need little memory."""
    return torch.cat(
        [
            F.adaptive_avg_pool2d(frame.permute(2, 0, 1)[None].float(), _PLACES) / 255
            for frame in frames
        ]
    )


def blurred(frames: Tensor) -> Tensor:
    """All that a person may see of frames uint8 [n, H, W, 3] before they are reviewed: 16×16
    colours, drawn softly at the same size."""
    high, wide = frames.shape[1:3]
    size = (min(_PLACES, high), min(_PLACES, wide))
    small = F.adaptive_avg_pool2d(frames.permute(0, 3, 1, 2).float(), size)
    soft = F.interpolate(small, (high, wide), mode="bilinear")
    return soft.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
