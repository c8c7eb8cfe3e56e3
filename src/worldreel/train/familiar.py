"""How surprising a model finds its own world: above that it holds pictures from elsewhere."""

from __future__ import annotations

import torch

from worldreel.holding import surprise
from worldreel.models.embedded import EmbeddedModel
from worldreel.video import pixels
from worldreel.world.config import WorldConfig
from worldreel.world.render import Renderer
from worldreel.world.scene import sample_scene

_FIRST_SEED = 95_000_000
QUANTILE = 0.5


def measure_familiar(model: EmbeddedModel, world: WorldConfig, *, stills: int = 128) -> float:
    """The surprise that half of the held-out stills of `world` stay below."""
    found = []
    for number, (width, height) in enumerate(model.settings.natives):
        side = min(width, height)
        renderer = Renderer(unit=side, side=side // 2, variants=3)
        count = max(2, stills // len(model.settings.natives))
        seeds = range(_FIRST_SEED + 1000 * number, _FIRST_SEED + 1000 * number + count)
        scenes = [sample_scene(seed, config=world, split="seen") for seed in seeds]
        for part in (scenes[i : i + 16] for i in range(0, count, 16)):
            shown = renderer.render(part, width=width, height=height, frames=1, fps=12.0, start=1.0)
            frames = pixels.shown(shown.frames[:, :, 0].transpose(0, 1))
            found.append(surprise(model, frames))
    return round(float(torch.cat(found).quantile(QUANTILE)), 4)
