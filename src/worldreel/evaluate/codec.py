"""How well the codec keeps held-out scenes: PSNR in dB, the ceiling of every generated picture.

    psnr = 10·log10(4 / mean squared error)        for frames in [-1, 1]

Three ways to count: every pixel alike; pixels of moving actors three times as much as others,
as in the codec's training; and actors' pixels alone, which is where a viewer looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from worldreel.evaluate.world import judged_world
from worldreel.models.model import AnyCodec
from worldreel.world.cast import STYLES
from worldreel.world.render import Renderer
from worldreel.world.scene import sample_scene

__all__ = ["measure_codec"]

_FIRST_SEED = 90_000_000
_ACTOR_WEIGHT = 2.0


def psnr(error: Tensor, weight: Tensor) -> float:
    """PSNR in dB of squared errors for frames in [-1, 1], `weight` broadcastable to them."""
    mean = (error * weight).sum() / weight.expand_as(error).sum().clamp_min(1e-9)
    return round(float(10 * torch.log10(4 / mean.clamp_min(1e-12))), 2)


@torch.no_grad()
def measure_codec(
    codec: AnyCodec,
    *,
    clips: int = 24,
    styles: tuple[str, ...] = STYLES,
    size: tuple[int, int] = (128, 128),
    frames: int = 25,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """Reconstruction of `clips` held-out scenes a style at `size` (width, height).

    Returns:
        {style: {"psnr", "psnr_weighted", "psnr_actors", "clips"}}, dB over all clips together.
    """
    width, height = size
    renderer = Renderer(unit=height, side=height // 2, variants=3)
    report: dict[str, Any] = {}
    for style in styles:
        world = replace(judged_world(), styles=(style,))
        errors, coverages = [], []
        for start in range(0, clips, 4):
            progress(f"codec, {style}", start, clips)
            seeds = range(_FIRST_SEED + start, _FIRST_SEED + min(start + 4, clips))
            scenes = [sample_scene(seed, config=world, split="unseen") for seed in seeds]
            shown = renderer.render(scenes, width=width, height=height, frames=frames, fps=12.0)
            decoded, _ = codec.decode(codec.encode(shown.frames)[0])
            difference = decoded.float().clamp(-1, 1) - shown.frames
            errors.append(difference.square().mean(1))
            coverages.append(shown.coverage)
        error, coverage = torch.cat(errors), torch.cat(coverages)
        report[style] = {
            "psnr": psnr(error, torch.ones_like(error)),
            "psnr_weighted": psnr(error, 1 + _ACTOR_WEIGHT * coverage),
            "psnr_actors": psnr(error, coverage),
            "clips": clips,
        }
        progress(f"codec, {style}", clips, clips)
    return report
