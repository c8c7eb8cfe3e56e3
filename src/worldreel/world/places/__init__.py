"""Places: the painted backdrops of the world, in three layers that scroll at their own pace.

Each place is painted in code from (name, time of day, variant), at any resolution, periodic in x.
`places()` lists what is known of them, `paint` makes the pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from worldreel.world.places import beyond, city, indoors, land, park, shore, town, wild
from worldreel.world.places.catalogue import CATALOGUE
from worldreel.world.places.place import Layers, Place
from worldreel.world.places.study import Study
from worldreel.world.places.window import window

__all__ = ["Layers", "Place", "paint", "paint_window", "place", "places"]

PAINTERS: dict[str, Callable[[Study], None]] = {
    "beach": shore.beach,
    "meadow": land.meadow,
    "snowy mountains": land.snowy_mountains,
    "neon city street": city.neon_street,
    "under water": shore.under_water,
    "space": beyond.space,
    "city street": town.city_street,
    "art gallery": indoors.art_gallery,
    "canal": town.canal,
    "kitchen table": indoors.kitchen_table,
    "farm": town.farm,
    "playground": park.playground,
    "open sea": park.open_sea,
    "forest": wild.forest,
    "desert": wild.desert,
    "dirt road among pines": wild.pine_road,
}


def places() -> tuple[Place, ...]:
    """All places, the most distinct first."""
    return CATALOGUE


@lru_cache(maxsize=1)
def _by_name() -> dict[str, Place]:
    return {known.name: known for known in CATALOGUE}


def place(name: str) -> Place:
    """The place of that name; ValueError when there is none."""
    known = _by_name()
    if name not in known:
        raise ValueError(f"no place is called {name!r}; the places are {', '.join(known)}")
    return known[name]


def _study(name: str, time: str, variant: int, unit: int) -> Study:
    known = place(name)
    if time not in known.times:
        raise ValueError(f"{name} has no {time!r}; it has {', '.join(known.times)}")
    if variant < 0:
        raise ValueError(f"variant {variant} is negative; use 0 or more")
    if not 16 <= unit <= 1024 or unit % 2:
        raise ValueError(f"unit {unit} must be an even number from 16 to 1024")
    return Study(name, time, variant, unit, known.paint_light[time])


def paint(name: str, *, time: str, variant: int, unit: int) -> Layers:
    """Paints a place at `unit` pixels per world unit.

    Raises ValueError for an unknown place, a time it does not have, a negative variant, or a
    unit that is not an even number from 16 to 1024.
    """
    study = _study(name, time, variant, unit)
    PAINTERS[name](study)
    return Layers(sky=study.sky.uint8(), middle=study.middle.uint8(), ground=study.ground.uint8())


def paint_window(
    name: str, *, time: str, variant: int, unit: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Room and wall of a window at a place, premultiplied uint8 [4, 1.5 unit, 4 unit] each; see
    `window`. Raises ValueError as `paint` does."""
    room, wall = window(_study(name, time, variant, unit))
    return room.uint8(), wall.uint8()
