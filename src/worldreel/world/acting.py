"""What an actor can do at a place, and giving it looks, a spot and something to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from worldreel.world import atlas
from worldreel.world.atlas import ActorKind
from worldreel.world.cast import Cast
from worldreel.world.config import WorldConfig
from worldreel.world.places import Place, place

Random = np.random.Generator

MEDIA = {
    "ground": (
        "idle", "walk", "run", "drive", "roll", "slide", "jump", "bounce", "fall", "dance",
        "spin", "grow", "shrink", "leave",
    ),
    "air": ("fly", "float", "fall", "spin", "grow", "shrink", "leave"),
    "water": ("swim", "float", "drive", "spin", "grow", "shrink", "leave"),
}  # fmt: skip
"""What can be done where."""

_EXTRAS = {"spin": 0.12, "grow": 0.09, "shrink": 0.09, "leave": 0.10}
"""Behaviours open to (almost) every kind, with their share of the weight of all its gaits."""
WEIGHTLESS = ("under water", "space")
_SURFACING = ("dolphin", "whale", "shark", "mermaid")
"""Sea creatures that may also show above a surface."""
_ROUND = ("face", "food", "shape", "thing")
_LANES = {
    1: ((0.80, 0.92),),
    2: ((0.75, 0.80), (0.87, 0.94)),
    3: ((0.72, 0.76), (0.81, 0.85), (0.90, 0.95)),
}
"""Where feet stand, far to near, for a number of actors."""


def pick(rng: Random, options: Sequence[str], weights: Sequence[float] | None = None) -> str:
    """One of `options`, by weight."""
    if weights is None:
        return options[int(rng.integers(len(options)))]
    total = np.cumsum(weights)
    return options[int(np.searchsorted(total, rng.random() * total[-1], side="right"))]


Doing = tuple[str, str, float]


def doings(kind: ActorKind, where: Place, config: WorldConfig) -> tuple[Doing, ...]:
    """(behaviour, medium, weight) of everything that `kind` can do at `where`."""
    return _doings(kind.name, where.name, config.behaviours)


@lru_cache(maxsize=1 << 16)
def _doings(kind_name: str, place_name: str, behaviours: tuple[str, ...]) -> tuple[Doing, ...]:
    kind, where = atlas.kind(kind_name), place(place_name)
    media = _media(kind, where)
    found = []
    for medium in sorted(media):
        gaits = set(kind.gaits)
        if where.name in WEIGHTLESS and medium != "ground":
            gaits.add("float")
        if medium == "water" and "idle" in gaits:
            gaits.add("float")
        if medium == "air" and kind.medium == "any":
            gaits.discard("fall")  # it falls to the ground there is
        if medium != "ground" and not gaits & {"fly", "float", *(("swim",) * (medium == "water"))}:
            continue  # nothing would hold it up
        for name in MEDIA[medium]:
            weight = 1.0 if name in gaits else len(gaits) * _EXTRAS.get(name, 0.0)
            if name == "leave" and not gaits & {"walk", "run", "fly", "swim"}:
                weight = 0.0
            if weight and name in behaviours:
                found.append((name, medium, weight))
    return tuple(found)


def _media(kind: ActorKind, where: Place) -> set[str]:
    """Where at a place a kind can be; fish stay below a surface, boats and swans above."""
    media = set(where.media)
    if where.water is not None:
        media.add("water")
    submerged = "air" not in where.media
    if kind.medium == "any":
        if submerged and kind.group == "insect":
            return set()
        return media - (set() if submerged else {"water"})
    diver = kind.group == "sea" or kind.name == "mermaid"
    if kind.medium == "water" and submerged != diver and kind.name not in _SURFACING:
        return set()
    return media & {kind.medium}


def dress(
    rng: Random,
    kind: ActorKind,
    medium: str,
    where: Place,
    config: WorldConfig,
    *,
    lane: int,
    count: int,
) -> Cast:
    """An actor's looks and resting place; it does nothing yet."""
    low, high = config.sizes
    high = (high, min(high, 0.52), min(high, 0.40))[count - 1]
    long = rng.uniform(low, high) * kind.scale**0.5
    long = float(np.clip(long, low, high)) * config.actor_scale
    if medium == "water" and where.water is not None and where.water[1] < 0.7:
        long = min(long, 0.42 * config.actor_scale)  # the water is far off there
    height = long * kind.height / max(kind.width, kind.height)
    band = _LANES[count][lane]
    feet = float(rng.uniform(*band))
    floor: float | None = feet if "ground" in where.media else None
    if medium == "water" and where.water is not None:
        low, high = where.water
        feet = floor = low + (high - low) * (lane + float(rng.random())) / count
    elif medium == "air" or medium == "water":
        feet = float(rng.uniform(0.30, 0.46)) + 0.06 * (lane - (count - 1) / 2) + height / 2
        if medium == "water" or floor is None:
            feet += 0.08
        floor = None if floor is None else max(floor, feet + 0.02)
    coloured = kind.recolourable and rng.random() < 0.85
    return Cast(
        kind=kind.name,
        colour=pick(rng, config.colours) if coloured else None,
        feeling=kind.feeling,
        size=height,
        width=height * kind.width / kind.height,
        slot=float(rng.uniform(-0.3, 0.3)),
        feet=feet,
        lane=(lane + 0.5) / count,
        floor=floor,
        medium=medium,
        facing=1 if rng.random() < 0.5 else -1,
        end=config.seconds,
        speed=float(rng.uniform(0.85, 1.2)),
        amount=float(rng.uniform(0.6, 1.2)),
        phase=float(rng.random()),
        round=kind.group in _ROUND and not kind.directional,
        directional=kind.directional,
    )


def act(rng: Random, cast: Cast, kind: ActorKind, behaviour: str, config: WorldConfig) -> Cast:
    """Gives a dressed actor something to do."""
    cast = replace(cast, behaviour=behaviour)
    sideways = "left" if rng.random() < 0.5 else "right"
    upright = not kind.directional and rng.random() < 0.3
    if cast.travels and upright and behaviour in ("fly", "swim") and cast.medium != "ground":
        goes = "up" if rng.random() < 0.6 else "down"
        span = (0.98 + 0.5 * cast.size, 0.16 + 0.5 * cast.size)
        return replace(cast, direction=goes, reach=span if goes == "up" else span[::-1])
    if behaviour == "leave":
        sign = 1.0 if sideways == "right" else -1.0
        return replace(cast, direction=sideways, reach=(0.0, sign * (1.15 + cast.width)))
    if cast.travels:
        sign = 1.0 if sideways == "right" else -1.0
        pace = min(1.0, max(0.35, config.seconds / 4.0)) * cast.speed
        half = float(np.clip(1.24 - cast.width, 0.5, 0.9)) * pace
        half += 0.18 * (behaviour in ("run", "fly", "drive"))
        return replace(
            cast, direction=sideways, facing=int(sign), reach=(-sign * half, sign * half)
        )
    if behaviour == "fall":
        start = float(rng.uniform(0.0, 0.15))
        return replace(cast, direction="down", start=start)
    if behaviour == "spin":
        return replace(cast, direction=sideways)
    if behaviour in ("grow", "shrink"):
        return replace(cast, end=min(config.seconds, 3.4))
    return cast
