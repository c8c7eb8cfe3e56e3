"""Which world: the factors that scenes are drawn from, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass

from worldreel.world import atlas
from worldreel.world.atlas import COLOURS
from worldreel.world.cast import BEHAVIOURS, CAMERA_MOVES, EVENTS, STYLES
from worldreel.world.places import places

TIMES = ("day", "dusk", "night")
WEATHERS = ("clear", "rain", "snow", "fog")


@dataclass(frozen=True, kw_only=True)
class WorldConfig:
    """Allowed values of every factor; scenes are drawn evenly over what fits together."""

    kinds: tuple[str, ...]
    places: tuple[str, ...]
    times: tuple[str, ...] = TIMES
    weathers: tuple[str, ...] = WEATHERS
    behaviours: tuple[str, ...] = BEHAVIOURS
    cameras: tuple[str, ...] = CAMERA_MOVES
    styles: tuple[str, ...] = STYLES
    events: tuple[str, ...] = EVENTS
    colours: tuple[str, ...] = tuple(COLOURS)
    max_actors: int = 3
    actor_scale: float = 1.0
    """Multiplies the sizes of all actors."""
    sizes: tuple[float, float] = (0.28, 0.62)
    """Smallest and largest long side of an actor, in heights of the frame."""
    seconds: float = 4.0
    """Length of a scene."""
    families: float = 0.04
    """Share of scenes drawn from the named families."""

    @classmethod
    def full(cls) -> WorldConfig:
        """Everything the world has."""
        return cls(
            kinds=tuple(k.name for k in atlas.kinds() if k.group != "prop"),
            places=tuple(p.name for p in places()),
        )

    @classmethod
    def small(cls) -> WorldConfig:
        """The world for training on a CPU: few kinds and places, large actors, plain film."""
        return cls(
            kinds=tuple(k.name for k in atlas.kinds() if k.core == 1),
            places=tuple(p.name for p in places() if p.rank == 1),
            weathers=("clear", "rain", "snow"),
            behaviours=(
                "idle",
                "walk",
                "run",
                "fly",
                "swim",
                "drive",
                "bounce",
                "roll",
                "fall",
                "jump",
                "float",
            ),
            cameras=("static", "pan left", "pan right", "zoom in", "zoom out", "follow"),
            styles=("plain",),
            events=(),
            max_actors=2,
            sizes=(0.36, 0.62),
            families=0.0,
        )
