"""What a scene is called, at three lengths: a prompt as typed, a sentence, a dense description.

A caption is parts (who, doing what, where, when, in what weather, how filmed) said in one of
several orders, each part in one of several wordings. Held-out words never occur.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from worldreel.world import atlas, words
from worldreel.world.cast import Cast
from worldreel.world.places import place
from worldreel.world.words import article, seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worldreel.world.scene import Scene

Random = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Captions:
    """One wording of a scene at each length."""

    prompt: str
    """What a user types: short, lower case, parts may be missing."""
    sentence: str
    """One or two full sentences with every factor."""
    dense: str
    """A paragraph: who, where they are in the frame, the place in detail, light, camera."""


def caption(scene: Scene, rng: Random, *, again: str = "") -> Captions:
    """Words `scene`; other draws of `rng` give other wordings.

    `again` says how the first actor is called who was seen before: "the same {}".
    """
    return Captions(
        prompt=_prompt(scene, rng, again),
        sentence=_sentence(scene, rng, again),
        dense=_dense(scene, rng, again),
    )


def _one(rng: Random, options: Sequence[str]) -> str:
    allowed = seen(options)
    return allowed[int(rng.integers(len(allowed)))] if allowed else ""


def noun(cast: Cast, rng: Random, *, plain: float = 0.6) -> str:
    """The actor without article: "bright red car"; `plain` is the chance of the first wording."""
    kind = atlas.kind(cast.kind)
    nouns = seen(n for n in (kind.noun, *kind.synonyms) if n not in words.UNCOUNTABLE)
    nouns = nouns or (kind.noun,)
    own = set(words.COLOUR_WORDS) | {"colourful"}
    if cast.colour:  # "red car" must not name a car painted blue
        nouns = tuple(n for n in nouns if not own & set(n.split())) or (kind.noun,)
    name = nouns[0] if rng.random() < plain else _one(rng, nouns)
    if cast.colour:
        shades = words.COLOUR_WORDS[cast.colour]
        shade = shades[0] if rng.random() < plain else _one(rng, shades)
        if kind.group == "person":
            return f"{name} in {shade}"
        return f"{shade} {name}"
    natural = [c for c in kind.colours if c in words.COLOUR_WORDS]
    if len(kind.colours) == 1 and natural and not own & set(name.split()) and rng.random() < 0.25:
        return f"{natural[0]} {name}"
    return name


def verb(cast: Cast, rng: Random, *, gerund: bool, direction: float = 0.8) -> str:
    """What the actor does, with the direction in a share of wordings."""
    kind = atlas.kind(cast.kind)
    surfer = "surfer" if "surf" in cast.kind else ""
    keys = (cast.direction, cast.kind, surfer, kind.group, cast.medium)
    options = next(
        (
            words.GROUP_VERBS[cast.behaviour, k]
            for k in keys
            if (cast.behaviour, k) in words.GROUP_VERBS
        ),
        words.VERBS[cast.behaviour],
    )
    form = _one(rng, [pair[gerund] for pair in options])
    if cast.travels and cast.behaviour != "leave" and rng.random() < direction:
        way = words.DIRECTIONS.get(cast.direction)
        if way:
            return f"{form} {_one(rng, way)}"
    if not cast.travels and cast.directional and rng.random() < 0.2 and cast.behaviour != "spin":
        side = "right" if cast.facing > 0 else "left"
        return f"{form}, {_one(rng, words.FACINGS[side])}"
    return form


def _company(scene: Scene, rng: Random, *, gerund: bool, again: str = "") -> str:
    """All actors and what they do."""
    told = _event(scene, rng, gerund=gerund)
    if told:
        return told
    if not scene.actors:
        return (
            "a view" if gerund else _one(rng, ("nobody is there", "nothing moves", "all is quiet"))
        )
    clauses = []
    order = rng.permutation(len(scene.actors)) if len(scene.actors) > 1 else [0]
    for index in order:
        cast = scene.actors[int(index)]
        name = noun(cast, rng)
        who = again.format(name) if again and index == 0 else article(name)
        clauses.append(f"{who} {verb(cast, rng, gerund=gerund)}")
    if len(clauses) == 2 and not gerund and rng.random() < 0.3:
        return f"{clauses[0]} while {clauses[1]}"
    return _listed(clauses)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _event(scene: Scene, rng: Random, *, gerund: bool) -> str:
    """What two actors do together; empty where nothing binds them."""
    if scene.event is None or len(scene.actors) < 2:
        return ""
    first, second = (article(noun(cast, rng)) for cast in scene.actors[:2])
    way = words.DIRECTIONS.get(scene.actors[0].direction, ("",))
    to = f" {_one(rng, way)}" if rng.random() < 0.7 else ""
    if scene.event == "chase":
        verbs = (("chases", "chasing"), ("runs after", "running after"), ("pursues", "pursuing"))
        return f"{first} {verbs[int(rng.integers(3))][gerund]} {second}{to}"
    if scene.event == "meet":
        verbs = (
            ("meet", "meeting"),
            ("come together", "coming together"),
            ("run into each other", "running into each other"),
        )
        return f"{first} and {second} {verbs[int(rng.integers(3))][gerund]}"
    way_of = verb(scene.actors[0], rng, gerund=gerund, direction=0.0)
    return f"{first} {way_of} behind {second}{to}"


def _where(scene: Scene, rng: Random) -> str:
    return _one(rng, place(scene.place).phrases)


def _when(scene: Scene, rng: Random, chance: float) -> str:
    # A place that knows one time only says it already.
    if len(place(scene.place).times) == 1 or rng.random() > chance:
        return ""
    return _one(rng, words.TIME_PHRASES[scene.time])


def _weather(scene: Scene, rng: Random, chance: float) -> str:
    if scene.weather == "clear" or rng.random() > chance:
        return ""
    said = words.WEATHER_PHRASES[scene.weather]
    return _one(rng, [w for w in said if scene.time == "day" or not w.endswith(" day")])


def _camera(scene: Scene, rng: Random, chance: float) -> str:
    chance *= 0.35 if scene.camera.name == "static" else 1.0
    return _one(rng, words.CAMERA_PHRASES[scene.camera.name]) if rng.random() < chance else ""


def _style(scene: Scene, rng: Random, chance: float) -> str:
    options = words.STYLE_PHRASES[scene.style]
    return _one(rng, options) if options and rng.random() < chance else ""


def _setting(scene: Scene, rng: Random, chance: float) -> str:
    """Where, when and in what weather, without saying one thing twice."""
    where = _where(scene, rng)
    if scene.window:
        where = f"{_one(rng, words.WINDOW_PHRASES)} {where}"
    parts = [where, _when(scene, rng, chance), _weather(scene, rng, chance)]
    said = [where]
    for part in parts[1:]:
        if part and part not in said[0] and part.split()[-1] not in where.split():
            said.append(part)
    return " ".join(said)


def _prompt(scene: Scene, rng: Random, again: str) -> str:
    family = scene.family_prompt(rng)
    if family:
        return family
    gerund = rng.random() < 0.35
    core = _company(scene, rng, gerund=gerund, again=again)
    setting = _setting(scene, rng, 0.8)
    if rng.random() < 0.12:
        core = f"{setting}, {core}"
    elif rng.random() < 0.92:
        core = f"{core} {setting}"
    tail = [p for p in (_camera(scene, rng, 0.75), _style(scene, rng, 0.85)) if p]
    if tail and rng.random() < 0.15:
        return ", ".join([*tail, core])
    return ", ".join([core, *tail])


def _sentence(scene: Scene, rng: Random, again: str) -> str:
    core = _company(scene, rng, gerund=False, again=again)
    setting = _setting(scene, rng, 1.0)
    text = f"{setting}, {core}" if rng.random() < 0.25 else f"{core} {setting}"
    tail = [p for p in (_camera(scene, rng, 1.0), _style(scene, rng, 1.0)) if p]
    return _capital(text) + "." + "".join(f" {_capital(t)}." for t in tail)


def _dense(scene: Scene, rng: Random, again: str) -> str:
    """Sentences: the action, each actor's looks and position, the place, light, camera, film."""
    core = _company(scene, rng, gerund=False, again=again)
    parts = [_capital(f"{core} {_setting(scene, rng, 1.0)}") + "."]
    if not scene.event:
        parts += [_looks(cast, rng, len(scene.actors)) for cast in scene.actors]
    parts.append(_one(rng, place(scene.place).description))
    light = {
        "day": "Daylight fills the scene.",
        "dusk": "The light is warm and low, as the sun sets.",
        "night": "It is night.",
    }
    parts.append(light[scene.time])
    if scene.weather != "clear":
        falls = {
            "rain": "Rain is falling.",
            "snow": "Snowflakes drift down.",
            "fog": "Fog veils the distance.",
        }
        parts.append(falls[scene.weather])
    parts.append(_capital(_one(rng, words.CAMERA_PHRASES[scene.camera.name])) + ".")
    if scene.dusty is not None:
        parts.append(_one(rng, words.DUST_SENTENCES))
    style = _style(scene, rng, 1.0)
    if style:
        parts.append(_capital(style) + ".")
    return " ".join(p for p in parts if p)


def _looks(cast: Cast, rng: Random, count: int) -> str:
    """Where in the frame an actor is, and how large and what it feels."""
    long = max(cast.size, cast.width)
    size = "small" if long < 0.36 else "large" if long > 0.52 else "medium-sized"
    side = "in the middle"
    if count > 1 or not cast.travels:
        side = "on the left" if cast.slot < -0.22 else "on the right" if cast.slot > 0.22 else side
    depth = ""
    if count > 1:
        depth = (
            " in the foreground" if cast.lane > 0.6 else " further back" if cast.lane < 0.4 else ""
        )
    name = noun(cast, rng)
    feeling = words.FEELINGS.get(cast.feeling or "", ())
    mood = f" and looks {_one(rng, feeling)}" if feeling and rng.random() < 0.6 else ""
    return f"The {name} is {size}, {side}{depth}{mood}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
