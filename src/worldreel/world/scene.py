"""A scene: everything that happens in one clip, as data, from a seed.

A scene is free of resolution, aspect ratio and frame rate: `timeline` lays it out at any moments
for any aspect, `captions` says it in words, `facts` (its own module) tells the truth about it.
Some combinations of factors are kept out of training by a stable hash, so that evaluation can ask
for what was never shown; single factors are never held out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from worldreel.errors import WorldreelError
from worldreel.world import atlas, casting, families, motion
from worldreel.world import camera as cameras
from worldreel.world import captions as wording
from worldreel.world.acting import WEIGHTLESS
from worldreel.world.captions import Captions
from worldreel.world.cast import BEHAVIOURS, CAMERA_MOVES, EVENTS, STYLES, CameraMove, Cast
from worldreel.world.config import WorldConfig
from worldreel.world.places import place
from worldreel.world.timeline import Timeline

__all__ = [
    "BEHAVIOURS",
    "CAMERA_MOVES",
    "EVENTS",
    "STYLES",
    "CameraMove",
    "Captions",
    "Cast",
    "Scene",
    "WorldConfig",
    "is_held_out",
    "sample_scene",
]

SPLITS = ("train", "seen", "unseen")
HELD_OUT_SHARE = 12
"""Percent of the pairs (kind, place), (colour, kind) and (kind, behaviour) kept from training."""
VARIANTS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One scene. `duration` is in seconds, sizes are in world units (frame height = 1)."""

    seed: int
    place: str
    variant: int
    time: str
    weather: str
    style: str
    camera: CameraMove
    actors: tuple[Cast, ...]
    event: str | None = None
    family: str | None = None
    duration: float = 4.0

    def timeline(self, times: ArrayLike, *, aspect: float) -> Timeline:
        """Lays the scene out at `times` [T] seconds for a frame `aspect` times as wide as high."""
        moments = np.asarray(times, np.float64)
        stage = motion.Stage(
            aspect=float(aspect),
            duration=self.duration,
            followed=self.camera.name == "follow",
            floating=self.place in WEIGHTLESS,
        )
        poses = [motion.pose(cast, moments, stage) for cast in self.actors]
        followed = None
        if stage.followed:
            followed = poses[0].x - self.actors[0].slot * aspect / 2
        view = cameras.camera_path(
            self.camera, moments, duration=self.duration, aspect=float(aspect), followed=followed
        )
        line = _stacked(view, poses, self.actors)
        return _sloped(line, self.slope, self.actors) if self.slope else line

    @property
    def dusty(self) -> int | None:
        """The first actor that raises dust, if one does: it drives where the ground is dry."""
        dry = place(self.place).dusty and self.weather in ("clear", "fog")
        driving = [i for i, c in enumerate(self.actors) if c.behaviour == "drive" and _rolls(c)]
        return driving[0] if dry and driving else None

    @property
    def window(self) -> bool:
        """Whether the actors look out of a window."""
        return self.family is not None and families.FAMILIES[self.family].window

    @property
    def slope(self) -> float:
        """How much the ground falls for each unit to the right; who leads goes up."""
        rise = place(self.place).grade
        lead = self.actors[0].direction if self.actors else "none"
        up = lead == "right" if lead in ("left", "right") else self.variant % 2 == 0
        return -rise if up else rise

    def captions(self, rng: np.random.Generator) -> Captions:
        """One wording of the scene at three lengths; other draws give other wordings."""
        return wording.caption(self, rng)

    def family_prompt(self, rng: np.random.Generator) -> str:
        """A prompt in the words of the scene's family; empty when it has none."""
        if self.family is None:
            return ""
        options = families.FAMILIES[self.family].prompts
        return options[int(rng.integers(len(options)))]


def _stacked(
    view: NDArray[np.float32], poses: list[motion.Pose], actors: tuple[Cast, ...]
) -> Timeline:
    def grid(*names: str) -> NDArray[np.float32]:
        columns = np.empty((len(view), len(poses), len(names)), np.float32)
        for index, posed in enumerate(poses):
            for channel, name in enumerate(names):
                columns[:, index, channel] = getattr(posed, name)
        return columns if len(names) > 1 else columns[..., 0]

    return Timeline(
        camera=view,
        position=grid("x", "y"),
        height=grid("height"),
        flip=grid("flip"),
        angle=grid("angle"),
        squash=grid("wide", "tall"),
        phase=grid("phase"),
        opacity=grid("opacity"),
        ground=grid("ground"),
        order=np.tile(np.asarray([cast.lane for cast in actors], np.float32), (len(view), 1)),
    )


def _rolls(cast: Cast) -> bool:
    return cast.medium == "ground" and atlas.kind(cast.kind).group == "vehicle"


def _sloped(line: Timeline, slope: float, actors: tuple[Cast, ...]) -> Timeline:
    """What stands on a slope is as high as the ground there, and wheels lie along it."""
    fall = slope * (line.position[..., 0] - line.camera[:, None, 0])
    grounded = np.asarray([cast.medium == "ground" for cast in actors])
    wheels = np.asarray([c.behaviour in ("drive", "slide") or _rolls(c) for c in actors])
    tilt = np.float32(np.arctan(slope)) * wheels
    # Turned about its middle, a thing of height h would hang (1/cos - 1)·h/2 above the ground.
    hang = (1 / np.cos(tilt) - 1) * line.height / 2
    position = line.position.copy()
    position[..., 1] += grounded * (fall - hang)
    return replace(
        line,
        position=position.astype(np.float32),
        angle=(line.angle + tilt).astype(np.float32),
        ground=(line.ground + fall).astype(np.float32),
        slope=slope,
    )


def _pairs(scene: Scene) -> Iterator[tuple[str, str, str]]:
    for cast in scene.actors:
        yield "place", cast.kind, scene.place
        yield "behaviour", cast.kind, cast.behaviour
        if cast.colour:
            yield "colour", cast.kind, cast.colour


@lru_cache(maxsize=1 << 16)
def pair_is_held_out(factor: str, kind: str, value: str) -> bool:
    """Whether training never sees `kind` with this `value` of `factor`.

    Kinds of few places or few gaits keep those: training must see every kind. What the named
    families show is never held out.
    """
    entry = atlas.kind(kind)
    if (factor, kind, value) in families.PAIRS:
        return False
    if factor == "place" and entry.medium == "water":
        return False
    if factor == "behaviour" and value in entry.gaits and len(entry.gaits) < 3:
        return False
    return zlib.crc32(f"{factor}/{kind}/{value}".encode()) % 100 < HELD_OUT_SHARE


def is_held_out(scene: Scene) -> bool:
    """Whether the scene holds a combination that is kept out of training."""
    return any(pair_is_held_out(*pair) for pair in _pairs(scene))


def sample_scene(seed: int, *, config: WorldConfig, split: str = "train") -> Scene:
    """Draws a scene; the same seed, config and split give the same scene.

    `train` and `seen` never hold a held-out combination (and differ in their seeds' streams),
    `unseen` always holds at least one.

    Raises:
        WorldreelError: an unknown split, or a config that has no such scene.
    """
    if split not in SPLITS:
        raise WorldreelError(f"Split {split!r} is unknown; use one of {', '.join(SPLITS)}.")
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    for _ in range(400):
        draft = casting.draw(rng, config)
        scene = Scene(
            seed=seed,
            place=draft.place,
            variant=int(rng.integers(VARIANTS)),
            time=draft.time,
            weather=draft.weather,
            style=draft.style,
            camera=draft.camera,
            actors=draft.actors,
            event=draft.event,
            family=draft.family,
            duration=config.seconds,
        )
        if is_held_out(scene) == (split == "unseen"):
            return scene
    raise WorldreelError(f"No {split} scene fits this world of {len(config.kinds)} kinds.")
