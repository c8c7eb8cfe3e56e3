"""Plans: what is trained, on what, for how long. A plan is a Python function, not a config file.

`cpu` makes the model that ships today: two CPU cores, a quarter of the world. `h200` is the
same with an order of magnitude more of everything, for one large GPU. `tiny` runs in a minute
and is there to be tested. Each has three parts, in this order: codec, latents, transformer.
"""

from __future__ import annotations

from dataclasses import replace

from worldreel.codec.model import CodecConfig
from worldreel.models.model import Settings
from worldreel.text.encoder import TextConfig
from worldreel.train.codec import CodecPlan
from worldreel.train.latents import LatentsPlan, Shape
from worldreel.train.transformer import Phase, TransformerPlan
from worldreel.transformer.config import TransformerConfig
from worldreel.world.config import WorldConfig

NATIVES = ((128, 128), (160, 96), (96, 160))
"""(width, height): square, wide and tall, of about equal area."""

SHARPNESS = 0.5
"""Weight of how different frames look, beside 1 for the absolute error of their pixels."""


def cpu_world() -> WorldConfig:
    """25 actors, 8 places, clear weather: what two cores can learn in an hour."""
    return replace(WorldConfig.small(), weathers=("clear",))


def cpu_codec() -> CodecPlan:
    """4×16×16, 32 channels: 128² pixels become 8×8 latents, so that 2 s are 112 patches."""
    return CodecPlan(
        config=CodecConfig(channels=32, scale=2, deep=256, decoder_depth=5),
        world=cpu_world(),
        others=replace(WorldConfig.full(), weathers=("clear", "fog")),
        minutes=25,
        batch=6,
        latent_noise=0.1,
        clips=((9, 128, 128), (9, 128, 128), (9, 96, 160), (5, 128, 128), (9, 160, 96)),
        variants=3,
    )


def cpu_sharp_codec() -> CodecPlan:
    """Sharpens the decoder of a finished `cpu` codec, on the latents as they are."""
    return _sharpened(cpu_codec(), minutes=30)


def cpu_latents() -> LatentsPlan:
    """Three native sizes; stills of any moment, clips of 2 s and of 4 s."""
    return LatentsPlan(
        world=cpu_world(),
        shapes=(
            *_natives(1, square=14336, other=6144),
            *_natives(25, square=6144, other=3072),
            *_natives(49, square=768, other=384),
            *_natives(33, square=1024, other=384, cuts=(5,)),
            *_natives(49, square=512, other=128, cuts=(5, 9)),
        ),
        batch=16,
    )


def cpu_transformer() -> TransformerPlan:
    """9 M parameters: stills first (what things look like), then clips (how they move).

    At this little compute a small network that sees more is better than a large one. The weights
    that ship went on from the 16 channels of an earlier run (`train --from`), and only the last
    third of their 93 minutes had today's noise levels (docs/log.md).
    """
    stills, clips, longer = _mix(1, 3.0, 192), _mix(25, 5.0, 48), _mix(49, 2.0, 24)
    shots = {**_mix(33, 2.0, 32, cuts=(5,)), **_mix(49, 1.0, 24, cuts=(5, 9))}
    shapes = _mix(1, 10.0, 192)  # what things look like is learned from stills, and comes first
    return TransformerPlan(
        config=TransformerConfig(
            width=256, layers=8, heads=4, hidden=1024, channels=32, text_width=192
        ),
        text=TextConfig(width=192, layers=2),
        phases=(
            Phase(share=0.2, shapes={**stills, **clips}),
            Phase(share=0.15, shapes={**stills, **clips, **longer, **shots}),
            Phase(share=0.25, shapes={**shapes, **clips, **longer, **shots}),
            Phase(share=0.4, shapes={**stills, **clips, **longer, **shots}),
        ),
        minutes=95,
        learning_rate=1.5e-3,
        cooldown=0.2,
    )


def cpu_on_transformer() -> TransformerPlan:
    """Goes on from a finished `cpu` run (`train --from`): mostly clips, for what moves in them."""
    stills, clips, longer = _mix(1, 2.0, 192), _mix(25, 6.0, 48), _mix(49, 2.0, 24)
    shots = {**_mix(33, 1.5, 32, cuts=(5,)), **_mix(49, 1.0, 24, cuts=(5, 9))}
    return replace(
        cpu_transformer(),
        phases=(Phase(share=1.0, shapes={**stills, **clips, **longer, **shots}),),
        minutes=105,
        learning_rate=1e-3,
        cooldown=0.35,
    )


cpu_on_codec, cpu_on_world = cpu_codec, cpu_world


def cpu_settings() -> Settings:
    """What `worldreel train export` writes into the model's card."""
    return Settings(natives=NATIVES, guidance=2.5, shift=1.0, temperature=0.9)


cpu_on_settings = cpu_settings


def h200_world() -> WorldConfig:
    """Every actor, place, weather, behaviour, camera move and film style."""
    return WorldConfig.full()


def h200_codec() -> CodecPlan:
    """4×8×8 at 128²: 13×16×16 latents for 4 s; 8 minutes of one H200."""
    return CodecPlan(
        config=CodecConfig(fine=128, deep=256, finer=64, decoder_depth=5),
        world=h200_world(),
        minutes=8,
        batch=32,
        clips=((17, 128, 128), (17, 96, 160), (17, 160, 96)),
        variants=8,
    )


def h200_sharp_codec() -> CodecPlan:
    """Sharpens the decoder of a finished `h200` codec, on the latents as they are."""
    return replace(_sharpened(h200_codec(), minutes=6), looked_at=64)


def h200_latents() -> LatentsPlan:
    """Rendered and encoded on the GPU; about 100 KB a clip of 4 s."""
    return LatentsPlan(
        world=h200_world(),
        shapes=(
            *_natives(1, square=262_144, other=65_536),
            *_natives(25, square=32_768, other=8_192),
            *_natives(49, square=16_384, other=4_096),
            *_natives(33, square=12_288, other=3_072, cuts=(5,)),
            *_natives(49, square=6_144, other=1_536, cuts=(5, 9)),
        ),
        batch=64,
        shard=2048,
        variants=8,
    )


def h200_transformer() -> TransformerPlan:
    """Width 512, 8 layers, 4 heads of 128: 4 minutes of stills, 13 of clips."""
    stills, clips, longer = _mix(1, 2.0, 1024), _mix(25, 5.0, 160), _mix(49, 4.0, 96)
    shots = {**_mix(33, 2.0, 128, cuts=(5,)), **_mix(49, 1.0, 96, cuts=(5, 9))}
    return TransformerPlan(
        config=TransformerConfig(width=512, layers=8, heads=4, hidden=1536),
        text=TextConfig(),
        phases=(
            Phase(share=0.25, shapes=stills),
            Phase(share=0.75, shapes={**stills, **clips, **longer, **shots}),
        ),
        minutes=17,
    )


def h200_settings() -> Settings:
    """As on the CPU."""
    return Settings(natives=NATIVES, guidance=2.5, shift=1.0)


def tiny_codec() -> CodecPlan:
    """A minute or less: does everything run?"""
    return replace(
        cpu_codec(),
        config=CodecConfig(fine=16, deep=32, finer=8, encoder_depth=1, decoder_depth=1, scale=2),
        minutes=0.2,
        batch=2,
        clips=((5, 64, 64),),
        unit=64,
        side=32,
        variants=1,
    )


def tiny_latents() -> LatentsPlan:
    """A few clips of 64² pixels."""
    return replace(
        cpu_latents(),
        shapes=(
            Shape(frames=1, height=64, width=64, count=32),
            Shape(frames=5, height=64, width=64, count=16),
        ),
        unit=64,
        side=32,
        variants=1,
    )


def tiny_transformer() -> TransformerPlan:
    """Half a million parameters."""
    return TransformerPlan(
        config=TransformerConfig(width=64, layers=2, heads=2, hidden=128, text_width=64),
        text=TextConfig(width=64, layers=1),
        phases=(
            Phase(share=0.5, shapes={"1x64x64": (1.0, 16)}),
            Phase(share=0.5, shapes={"1x64x64": (1.0, 16), "5x64x64": (1.0, 8)}),
        ),
        minutes=0.2,
        warmup=5,
    )


def tiny_settings() -> Settings:
    """A square of 64 pixels, half a second."""
    return Settings(natives=((64, 64),), seconds=0.4, longest=0.4, steps=4)


def _sharpened(plan: CodecPlan, *, minutes: float) -> CodecPlan:
    """The same codec's decoder alone, which now must also look right."""
    return replace(
        plan,
        decoder_only=True,
        perceptual=SHARPNESS,
        repeats=4,
        minutes=minutes,
        learning_rate=1.5e-3,
    )


def _natives(
    frames: int, *, square: int, other: int, cuts: tuple[int, ...] = ()
) -> tuple[Shape, ...]:
    """A shape for each native size: `square` clips of the first, `other` of the others."""
    counts = (square, *([other] * (len(NATIVES) - 1)))
    return tuple(
        Shape(frames=frames, height=height, width=width, count=count, cuts=cuts)
        for (width, height), count in zip(NATIVES, counts, strict=True)
    )


def _mix(
    frames: int, weight: float, batch: int, cuts: tuple[int, ...] = ()
) -> dict[str, tuple[float, int]]:
    """Weight and batch of a length in every native size, half of it square."""
    shares = (0.5, *([0.5 / (len(NATIVES) - 1)] * (len(NATIVES) - 1)))
    shapes = _natives(frames, square=0, other=0, cuts=cuts)
    return {
        shape.name: (weight * share, batch) for shape, share in zip(shapes, shares, strict=True)
    }
