"""Places: the painted backdrops of the world, in three layers that scroll at their own pace.

Each place is painted in code from (name, time of day, variant), at any resolution, periodic in x.
`places()` lists what is known of them, `paint` makes the pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from worldreel.world.places import beyond, city, indoors, land, park, shore, town, wild
from worldreel.world.places.catalogue import CATALOGUE
from worldreel.world.places.place import Layers, Place
from worldreel.world.places.study import Study

__all__ = ["Layers", "Place", "paint", "place", "places"]

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


def paint(name: str, *, time: str, variant: int, unit: int) -> Layers:
    """Paints a place at `unit` pixels per world unit.

    Raises ValueError for an unknown place, a time it does not have, a negative variant, or a
    unit that is not an even number from 16 to 1024.
    """
    known = place(name)
    if time not in known.times:
        raise ValueError(f"{name} has no {time!r}; it has {', '.join(known.times)}")
    if variant < 0:
        raise ValueError(f"variant {variant} is negative; use 0 or more")
    if not 16 <= unit <= 1024 or unit % 2:
        raise ValueError(f"unit {unit} must be an even number from 16 to 1024")
    study = Study(name, time, variant, unit, known.paint_light[time])
    PAINTERS[name](study)
    return Layers(
        sky=study.sky.uint8(), middle=study.middle.uint8(), ground=study.ground.uint8()
    )
