"""Scene families: the five prompts of the page that inspired this project, as toy scenes.

Each family fixes what its prompt names and leaves the rest to chance, and brings its own ways of
saying it, so that a model can be asked in the words that people know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from worldreel.world import atlas
from worldreel.world.acting import Random, act, dress, pick
from worldreel.world.cast import CameraMove, Cast
from worldreel.world.config import WorldConfig
from worldreel.world.places import place
from worldreel.world.places.window import SILL

CANAL, GALLERY = "canal", "art gallery"


@dataclass(frozen=True, kw_only=True)
class Family:
    """What a family fixes; an empty `kinds` is a place seen without actors."""

    name: str
    kinds: tuple[str, ...]
    places: tuple[str, ...]
    behaviour: str
    cameras: tuple[str, ...]
    prompts: tuple[str, ...]
    colour: str | None = None
    style: str = "plain"
    time: str | None = None
    weather: str = "clear"
    window: bool = False
    """Whether its actor looks out of a window."""


_LIST = (
    Family(
        name="tokyo walk",
        kinds=("woman walking",),
        places=("neon city street",),
        behaviour="walk",
        cameras=("follow", "static", "zoom in"),
        time="night",
        weather="rain",
        prompts=(
            "a stylish woman walks down a Tokyo street filled with warm glowing neon",
            "a stylish woman walking a neon Tokyo street at night, wet street, reflections",
            "stylish woman walks along a neon street in Tokyo in the rain",
        ),
    ),
    Family(
        name="white suv",
        kinds=("suv",),
        places=("dirt road among pines",),
        behaviour="drive",
        cameras=("follow",),
        colour="white",
        prompts=(
            "the camera follows behind a white vintage suv as it speeds up a steep dirt road "
            "surrounded by pine trees",
            "camera following a white vintage suv up a steep dirt road among pines, dust behind it",
            "a white vintage suv drives up a dirt road through pines, follow shot",
        ),
    ),
    Family(
        name="gallery tour",
        kinds=(),
        places=(GALLERY,),
        behaviour="idle",
        cameras=("pan left", "pan right"),
        prompts=(
            "a tour of an art gallery with many beautiful works of art",
            "tour of an art gallery, paintings on the walls",
            "the camera moves through an art gallery full of paintings",
        ),
    ),
    Family(
        name="step-printed run",
        kinds=("man running", "woman running"),
        places=("city street", "neon city street"),
        behaviour="run",
        cameras=("follow", "static"),
        style="step-printing",
        prompts=(
            "a step-printing scene of a person running, cinematic film shot in 35mm",
            "step-printed shot of a person running on 35 mm film",
            "a person runs, step-printing, 35mm film",
        ),
    ),
    Family(
        name="burano dalmatian",
        kinds=("dalmatian",),
        places=(CANAL,),
        behaviour="idle",
        cameras=("static", "zoom in"),
        time="day",
        window=True,
        prompts=(
            "an adorable dalmatian looks through a window among the colourful buildings of Burano",
            "a dalmatian at a window among colourful Burano houses",
            "a dalmatian looks out of a window of a colourful house in Burano, Italy",
        ),
    ),
)
FAMILIES: Mapping[str, Family] = {family.name: family for family in _LIST}
PAIRS: frozenset[tuple[str, str, str]] = frozenset(
    pair
    for family in _LIST
    for kind in family.kinds
    for pair in (
        *(("place", kind, where) for where in family.places),
        ("behaviour", kind, family.behaviour),
        ("colour", kind, family.colour or ""),
    )
)
"""(factor, kind, value) of what the families fix."""


def available(config: WorldConfig) -> tuple[Family, ...]:
    """The families that `config`'s kinds, places and styles can show."""
    return tuple(
        family
        for family in _LIST
        if set(family.kinds) <= set(config.kinds)
        and set(family.places) & set(config.places)
        and family.style in config.styles
    )


@dataclass(frozen=True, kw_only=True)
class Showing:
    """A family's draw, before the camera is aimed."""

    place: str
    time: str
    weather: str
    camera: str
    actors: tuple[Cast, ...]


def show(rng: Random, family: Family, config: WorldConfig) -> Showing:
    """Draws what the family leaves open."""
    where = place(pick(rng, [p for p in family.places if p in config.places]))
    actors: tuple[Cast, ...] = ()
    if family.kinds:
        kind = atlas.kind(pick(rng, family.kinds))
        cast = dress(rng, kind, "ground", where, config, lane=0, count=1)
        cast = act(rng, cast, kind, family.behaviour, config)
        if family.colour is not None:
            cast = replace(cast, colour=family.colour)
        if family.window:
            cast = _at_window(cast)
        actors = (cast,)
    time = family.time if family.time in where.times else pick(rng, where.times)
    return Showing(
        place=where.name,
        time=time,
        weather=family.weather if family.weather in where.weathers else "clear",
        camera=pick(rng, family.cameras),
        actors=actors,
    )


def _at_window(cast: Cast) -> Cast:
    """In the middle of the opening, paws behind the sill, as large as fits."""
    size = min(0.42, 0.5 * cast.size / cast.width)
    feet = SILL + 0.05
    return replace(
        cast, size=size, width=cast.width * size / cast.size, slot=0.0, feet=feet, floor=feet
    )


def tour(camera: CameraMove) -> CameraMove:
    """A longer pan, for a place that is shown without actors."""
    return replace(camera, amount=2.2 * camera.amount)
