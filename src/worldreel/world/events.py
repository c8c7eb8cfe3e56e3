"""What two actors do together: one chases another, two meet, one passes behind a prop."""

from __future__ import annotations

from dataclasses import replace

from worldreel.world import atlas
from worldreel.world.acting import Random, doings, dress, pick
from worldreel.world.atlas import ActorKind
from worldreel.world.cast import Cast
from worldreel.world.config import WorldConfig
from worldreel.world.places import Place

_FASTEST = ("run", "drive", "fly", "swim", "walk")
_PROPS = {
    "beach": ("palm tree", "rock"),
    "forest": ("tree", "pine tree", "rock", "mushroom"),
    "desert": ("cactus", "rock", "tent"),
    "snowy mountains": ("pine tree", "rock", "house"),
    "dirt road among pines": ("pine tree", "rock"),
    "space": ("rock",),
}
_ANYWHERE = ("tree", "rock", "lamp post", "house", "sunflower", "tent")


def stage(
    rng: Random, event: str, first: ActorKind, where: Place, config: WorldConfig
) -> list[Cast]:
    """Two actors bound by `event`, the subject first; empty where `first` cannot take part."""
    gait = _gait(first, where, config)
    if gait is None:
        return []
    if event == "pass":
        return _pass(rng, first, gait, where, config)
    fellows = [
        (kind, theirs)
        for name in config.kinds
        if name != first.name
        for kind in [atlas.kind(name)]
        for theirs in [_gait(kind, where, config)]
        if theirs is not None and theirs[1] == gait[1]
    ]
    if not fellows:
        return []
    second, theirs = fellows[int(rng.integers(len(fellows)))]
    sign = 1.0 if rng.random() < 0.5 else -1.0
    far = int(rng.random() < 0.5)
    casts = [
        replace(dress(rng, kind, medium, where, config, lane=lane, count=2), behaviour=behaviour)
        for kind, (behaviour, medium), lane in ((first, gait, far), (second, theirs, 1 - far))
    ]
    return _chase(casts, sign) if event == "chase" else _meet(casts, sign, config.seconds)


def _gait(kind: ActorKind, where: Place, config: WorldConfig) -> tuple[str, str] | None:
    """The fastest way for `kind` to travel there, and in what medium."""
    can = {name: medium for name, medium, _ in doings(kind, where, config)}
    return next(((name, can[name]) for name in _FASTEST if name in can), None)


def _sent(cast: Cast, sign: float, start: float, stop: float) -> Cast:
    goes = "right" if sign > 0 else "left"
    reach = (sign * start, sign * stop)
    return replace(cast, direction=goes, facing=int(sign), reach=reach)


def _chase(casts: list[Cast], sign: float) -> list[Cast]:
    """Chaser first: it comes in from the edge and gains on the one that flees."""
    chaser, runner = casts
    return [_sent(chaser, sign, -1.15, 0.4), _sent(runner, sign, -0.3, 0.95)]


def _meet(casts: list[Cast], sign: float, seconds: float) -> list[Cast]:
    """Both come from their own side and stop face to face in the middle."""
    apart = 0.16 + (casts[0].width + casts[1].width) / 2
    met = [_sent(casts[0], sign, -1.05, -apart), _sent(casts[1], -sign, -1.05, -apart)]
    return [replace(c, end=0.65 * seconds) for c in met]


def _pass(
    rng: Random, first: ActorKind, gait: tuple[str, str], where: Place, config: WorldConfig
) -> list[Cast]:
    """The actor crosses the frame behind a large prop that stands near the camera."""
    names = [n for n in _PROPS.get(where.name, _ANYWHERE) if _known(n)]
    if gait[1] != "ground" or not names:
        return []
    sign = 1.0 if rng.random() < 0.5 else -1.0
    actor = dress(rng, first, "ground", where, config, lane=0, count=2)
    actor = _sent(replace(actor, behaviour=gait[0]), sign, -0.9, 0.9)
    large = replace(config, sizes=(0.5, 0.52), actor_scale=1.3 * config.actor_scale)
    prop = dress(rng, atlas.kind(pick(rng, names)), "ground", where, large, lane=1, count=2)
    return [actor, replace(prop, slot=float(rng.uniform(-0.2, 0.2)), facing=1)]


def _known(name: str) -> bool:
    return any(kind.name == name for kind in atlas.kinds())
