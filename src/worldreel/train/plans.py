"""Plans: what is trained, on what, for how long. A plan is a Python function, not a config file.

`cpu` makes the model that ships today: two CPU cores, a quarter of the world. `h200` is the
same with an order of magnitude more of everything, for one large GPU.
"""

from __future__ import annotations

from dataclasses import replace

from worldreel.codec.model import CodecConfig
from worldreel.train.codec import CodecPlan
from worldreel.world.config import WorldConfig


def cpu_world() -> WorldConfig:
    """25 actors, 8 places, clear weather: what two cores can learn in an hour."""
    return replace(WorldConfig.small(), weathers=("clear",))


def cpu_codec() -> CodecPlan:
    """4×16×16: 128² pixels become 8×8 latents, so that a clip of 2 s is 112 patches."""
    return CodecPlan(
        config=CodecConfig(scale=2),
        world=cpu_world(),
        minutes=27,
        batch=6,
        clips=((9, 128, 128), (9, 128, 128), (9, 96, 160), (5, 128, 128), (9, 160, 96)),
        variants=3,
    )
