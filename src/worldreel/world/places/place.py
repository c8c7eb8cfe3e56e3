"""What is known of a place: how people name it, who can be there, when, and its light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from numpy import uint8
from numpy.typing import NDArray

Light = tuple[float, float, float]

OUTDOORS: Mapping[str, Light] = {
    "day": (1.0, 1.0, 1.0),
    "dusk": (1.0, 0.8, 0.72),
    "night": (0.56, 0.64, 0.94),
}
# Actors keep more of their light than the place does, so that their colours stay readable.
ACTORS: Mapping[str, Light] = {
    "day": (1.0, 1.0, 1.0),
    "dusk": (1.0, 0.89, 0.83),
    "night": (0.7, 0.77, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A place of the world.

    `phrases` are prepositional ("on a beach"); `media` says who can be there (ground, air,
    water); `lit` multiplies the colours of actors, by time, and `paint_light` those of the place;
    `shadow` is the strength of the contact shadow in 0..1; `rank` 1 marks the eight most distinct
    places; `water` is the range of y at which boats and swimmers that float have their lowest
    point, if there is a surface; `grade` is how much the ground rises for each unit
    along it; `dusty` ground gives dust under wheels when it is dry.
    """

    name: str
    phrases: tuple[str, ...]
    description: tuple[str, ...]
    media: frozenset[str] = frozenset({"ground", "air"})
    times: tuple[str, ...] = ("day", "dusk", "night")
    weathers: tuple[str, ...] = ("clear", "rain", "snow", "fog")
    lit: Mapping[str, Light] = field(default_factory=lambda: ACTORS)
    paint_light: Mapping[str, Light] = field(default_factory=lambda: OUTDOORS)
    shadow: float = 0.35
    rank: int = 2
    water: tuple[float, float] | None = None
    grade: float = 0.0
    dusty: bool = False


@dataclass(frozen=True, kw_only=True)
class Layers:
    """A painted place, back to front: premultiplied uint8 [4, 1.5 unit, 4 unit] each.

    x covers [-2, 2) and is periodic, y covers [-0.25, 1.25]; `sky` is opaque.
    """

    sky: NDArray[uint8]
    middle: NDArray[uint8]
    ground: NDArray[uint8]
