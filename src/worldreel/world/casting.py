"""Choosing what happens: from random numbers to places, actors, actions and a camera.

Kinds are drawn first and evenly, then a place where they can live, then what they can do there;
colours and directions are drawn independently of everything else, so that no network can guess
one from the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from worldreel.world import atlas, events, families
from worldreel.world.acting import Random, act, doings, dress, pick
from worldreel.world.atlas import ActorKind
from worldreel.world.cast import CRUISE, CameraMove, Cast
from worldreel.world.config import WorldConfig
from worldreel.world.places import Place, place


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What was drawn; becomes a Scene."""

    place: str
    time: str
    weather: str
    style: str
    camera: CameraMove
    actors: tuple[Cast, ...]
    event: str | None = None
    family: str | None = None


def draw(rng: Random, config: WorldConfig) -> Draft:
    """Draws one scene's content."""
    known = families.available(config) if rng.random() < config.families else ()
    if known:
        return _family(rng, known[int(rng.integers(len(known)))], config)
    first = atlas.kind(pick(rng, config.kinds))
    lived = homes(first, config)
    if not lived:
        return draw(rng, config)
    where = place(pick(rng, lived))
    time, weather = _sky(rng, where, config)
    style = film(rng, config)
    count = _count(rng, config)
    kinds = [first, *companions(rng, first, where, config)[: count - 1]]
    camera = pick(rng, config.cameras)
    event, actors = None, list[Cast]()
    if count == 2 and config.events and rng.random() < 0.75:
        event = pick(rng, config.events)
        actors = events.stage(rng, event, first, where, config)
    if actors:
        camera = camera if camera in ("zoom in", "tilt up", "tilt down", "handheld") else "static"
    else:
        event = None
        actors, camera = _free(rng, kinds, where, camera, config)
    return Draft(
        place=where.name,
        time=time,
        weather=weather,
        style=style,
        camera=aim(rng, camera, actors, config),
        actors=tuple(actors),
        event=event,
    )


def homes(kind: ActorKind, config: WorldConfig) -> list[str]:
    """The places where `kind` can do something."""
    return [p for p in config.places if doings(kind, place(p), config)]


def film(rng: Random, config: WorldConfig) -> str:
    """A film style, plain as a rule."""
    return pick(rng, config.styles, [5.0 if s == "plain" else 1.0 for s in config.styles])


def shot(
    rng: Random, players: Sequence[tuple[str, str | None]], where: Place, config: WorldConfig
) -> Draft:
    """Draws a scene at a place for given (kind, colour) players; each has something to do there."""
    time, weather = _sky(rng, where, config)
    kinds = [atlas.kind(name) for name, _ in players]
    actors, camera = _free(rng, kinds, where, pick(rng, config.cameras), config)
    worn = [replace(c, colour=own) for c, (_, own) in zip(actors, players, strict=True)]
    return Draft(
        place=where.name,
        time=time,
        weather=weather,
        style="plain",
        camera=aim(rng, camera, worn, config),
        actors=tuple(worn),
    )


def _sky(rng: Random, where: Place, config: WorldConfig) -> tuple[str, str]:
    """Time of day and weather."""
    time = pick(rng, [t for t in where.times if t in config.times] or list(where.times))
    weathers = [w for w in where.weathers if w in config.weathers] or ["clear"]
    return time, pick(rng, weathers, [2.5 if w == "clear" else 1.0 for w in weathers])


def _family(rng: Random, family: families.Family, config: WorldConfig) -> Draft:
    shown = families.show(rng, family, config)
    actors = list(shown.actors)
    if shown.camera == "follow":
        actors = follow(actors)
    camera = aim(rng, shown.camera, actors, config)
    return Draft(
        place=shown.place,
        time=shown.time,
        weather=shown.weather,
        style=family.style,
        camera=camera if actors else families.tour(camera),
        actors=tuple(actors),
        family=family.name,
    )


def _count(rng: Random, config: WorldConfig) -> int:
    weights = [0.6, 0.32, 0.08][: config.max_actors]
    return 1 + int(pick(rng, ["0", "1", "2"][: len(weights)], weights))


def companions(rng: Random, first: ActorKind, where: Place, config: WorldConfig) -> list[ActorKind]:
    """Other kinds that can do something there, in random order."""
    kinds = [atlas.kind(name) for name in config.kinds if name != first.name]
    able = [k for k in kinds if doings(k, where, config)]
    return [able[int(i)] for i in rng.permutation(len(able))]


def _free(
    rng: Random, kinds: list[ActorKind], where: Place, camera: str, config: WorldConfig
) -> tuple[list[Cast], str]:
    """Actors that mind their own business, and the camera if it had to change."""
    options = [doings(k, where, config) for k in kinds]
    if camera == "follow":
        moving = [tuple(o for o in found if o[0] in CRUISE) for found in options]
        if all(moving):
            options = moving
        else:
            camera = "static"
    lanes = rng.permutation(len(kinds)) if len(kinds) > 1 else [0]
    actors = []
    for index, (kind, found) in enumerate(zip(kinds, options, strict=True)):
        behaviour, medium, _ = found[
            int(pick(rng, [str(i) for i in range(len(found))], [o[2] for o in found]))
        ]
        cast = dress(rng, kind, medium, where, config, lane=int(lanes[index]), count=len(kinds))
        actors.append(act(rng, cast, kind, behaviour, config))
    if len(actors) > 1:
        actors = spread(rng, actors)
    return follow(actors) if camera == "follow" else _within_view(actors, camera), camera


def spread(rng: Random, actors: list[Cast]) -> list[Cast]:
    """Gives several actors their own part of the frame, in random order."""
    count = len(actors)
    slots = np.linspace(-0.52, 0.52, count) if count == 2 else np.linspace(-0.66, 0.66, count)
    placed = []
    for cast, slot in zip(actors, rng.permutation(slots), strict=True):
        slot = float(slot) + float(rng.uniform(-0.06, 0.06))
        if cast.travels and cast.direction in ("left", "right") and cast.behaviour != "leave":
            sign = 1.0 if cast.direction == "right" else -1.0
            half = min(abs(cast.reach[1]), 0.55)
            cast = replace(cast, reach=(0.6 * slot - sign * half, 0.6 * slot + sign * half))
        elif cast.behaviour == "leave":
            cast = replace(cast, reach=(slot, cast.reach[1]))
        placed.append(replace(cast, slot=slot))
    return placed


def follow(actors: list[Cast]) -> list[Cast]:
    """Makes all travel with the first, so that a camera can keep them in view."""
    lead = actors[0]
    # A lead that rises or sinks goes sideways now; its facing is as balanced as a direction.
    aside = "right" if lead.facing > 0 else "left"
    goes = lead.direction if lead.direction in ("left", "right") else aside
    pace = CRUISE[lead.behaviour] * lead.speed
    single = len(actors) == 1
    return [
        replace(
            cast,
            direction=goes,
            speed=pace / CRUISE[cast.behaviour],
            slot=0.0 if single else cast.slot,
        )
        for cast in actors
    ]


def _within_view(actors: list[Cast], camera: str) -> list[Cast]:
    """Shorter ways under a camera that pans or comes close, so that nobody is lost from view."""
    if not camera.startswith(("pan", "zoom")):
        return actors
    return [
        replace(c, reach=(0.6 * c.reach[0], 0.6 * c.reach[1]))
        if c.travels and c.direction in ("left", "right") and c.behaviour != "leave"
        else replace(c, slot=0.6 * c.slot)
        for c in actors
    ]


def aim(rng: Random, name: str, actors: Sequence[Cast], config: WorldConfig) -> CameraMove:
    """A camera move with its strength, aimed at the actors."""
    phase = float(rng.uniform(0, 2 * np.pi))
    pace = min(1.0, 0.25 + 0.75 * config.seconds / 4.0)
    if name.startswith("pan"):
        return CameraMove(name=name, amount=(0.5 if len(actors) == 1 else 0.42) * pace)
    if name.startswith("tilt"):
        return CameraMove(name=name, amount=0.15 * pace)
    if name.startswith("zoom"):
        x = float(np.mean([_middle(c) for c in actors]))
        y = float(np.mean([c.feet - c.size / 2 for c in actors]))
        tall = max(c.size + 0.3 * (c.behaviour in ("jump", "bounce", "fall")) for c in actors)
        y -= 0.12 * (tall > max(c.size for c in actors))
        room = float(np.log(0.92 / tall)) if len(actors) == 1 else 0.32
        amount = float(np.clip(room, 0.25, 0.45)) * pace
        return CameraMove(name=name, amount=amount, target=(x, y))
    return CameraMove(name=name, amount=0.016 if name == "handheld" else 0.0, phase=phase)


def _middle(cast: Cast) -> float:
    if cast.travels and cast.direction in ("left", "right") and cast.behaviour != "leave":
        return (cast.reach[0] + cast.reach[1]) / 2
    return cast.slot
