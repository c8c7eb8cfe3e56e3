"""Figures with targets, and what every examination of tasks needs: renders, noise, judges.

A figure is a number, how many cases it is the mean (or share) of, and the target it is held
against. Pictures are compared as uint8 frames before any video encoding:

    psnr = 10·log10(255² / mean squared error)        in dB
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from statistics import fmean, median
from typing import Any

import torch
from torch import Tensor

from worldreel.evaluate.judge import Judges
from worldreel.generator import Generator
from worldreel.models.model import Model
from worldreel.request import Request
from worldreel.video import Video
from worldreel.video.pixels import shown as shown_pixels
from worldreel.video.pixels import signed
from worldreel.world.config import WorldConfig
from worldreel.world.render import Renderer
from worldreel.world.scene import Scene

__all__ = [
    "Exam",
    "Figure",
    "changes",
    "mean",
    "middle",
    "psnr",
    "reconstructed",
    "share",
]

FIRST_SEED = 70_000_000
"""Scenes of the examinations begin here: nothing is asked that a judge was taught."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number of one group; `value` and `target` in `unit`, None where there is none.

    `at_least` says on which side of the target it must lie, `n` of how many cases it speaks.
    """

    group: str
    name: str
    value: float | None
    unit: str
    n: int
    target: float | None = None
    at_least: bool = True
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without a target or a value."""
        if self.target is None or self.value is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "reached": self.reached}


@dataclass(frozen=True, kw_only=True)
class Exam:
    """Who is examined, by whom, in which world, with which settings of the sampler."""

    generator: Generator
    judges: Judges
    world: WorldConfig
    steps: int | None = None
    guidance: float | None = None
    progress: Callable[[str, int, int], None] = lambda what, done, total: None

    @property
    def model(self) -> Model:
        return self.generator.model

    @property
    def fps(self) -> float:
        return self.model.settings.fps

    @cached_property
    def renderer(self) -> Renderer:
        """As the training clips were rendered."""
        return Renderer(unit=128, side=64, variants=3)

    def size(self, number: int) -> tuple[int, int]:
        """(width, height) of case `number`: the native sizes in turn."""
        natives = self.model.settings.natives
        return natives[number % len(natives)]

    def settings(self, seed: int, size: tuple[int, int]) -> dict[str, Any]:
        """What every request of an examination has; the seed settles the noise."""
        return {
            "seed": seed,
            "steps": self.steps,
            "guidance": self.guidance,
            "width": size[0],
            "height": size[1],
        }

    def make(self, request: Request) -> Video:
        """The video, its frames not encoded."""
        return self.generator.generate(request)

    def clip(
        self, scene: Scene, size: tuple[int, int], frames: int, *, start: float = 0.0
    ) -> Video:
        """A render of `frames` frames from `start` seconds: the truth, as it would be given."""
        made = self.renderer.render(
            [scene], width=size[0], height=size[1], frames=frames, fps=self.fps, start=start
        )
        return Video.from_tensor(made.frames[0], fps=self.fps)


@torch.no_grad()
def reconstructed(model: Model, video: Video) -> Tensor:
    """The frames after the codec, uint8 `[T, H, W, 3]`: the best that can be made of them."""
    frames = video.frames
    lead = (1 - len(frames)) % model.codec.config.temporal
    held = torch.cat([frames[:1].expand(lead, -1, -1, -1), frames])
    decoded, _ = model.codec.decode(model.codec.encode(signed(held.to(model.device))[None])[0])
    return shown_pixels(decoded[0]).cpu()[lead:]


def psnr(shown: Tensor, truth: Tensor) -> float:
    """PSNR in dB of uint8 frames against uint8 frames; 100 where they are equal."""
    error = (shown.float() - truth.float()).square().mean()
    return float(10 * torch.log10(255.0**2 / error.clamp_min(255.0**2 * 1e-10)))


def changes(frames: Tensor) -> Tensor:
    """Mean absolute difference of each frame uint8 `[T, H, W, 3]` to the one before: `[T - 1]`."""
    pixels = frames.float()
    return (pixels[1:] - pixels[:-1]).abs().mean((1, 2, 3))


def mean(values: Sequence[float], digits: int = 2) -> float | None:
    """The mean, None of nothing."""
    return round(fmean(values), digits) if values else None


def middle(values: Sequence[float], digits: int = 2) -> float | None:
    """The median, None of nothing."""
    return round(median(values), digits) if values else None


def share(answers: Sequence[bool]) -> float | None:
    """Percent of true ones, None of nothing."""
    return round(100 * sum(answers) / len(answers), 1) if answers else None
