"""How actors move: every behaviour is a function of time that yields a pose.

A pose is arrays over time, in world units. Travel follows the frame's aspect (a path is given in
halves of the frame), so that everything happens in view in portrait and in landscape; gravity and
cycles do not. The animation cycle's rate follows the speed relative to the actor's size, bodies
bob and squash, and heads without bodies are never given a walk (see `sampling`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from worldreel.world import physics
from worldreel.world.cast import CRUISE, Cast

Floats = NDArray[np.float64]

_CYCLE = 1.0 / 3.0
"""Loops a second of an actor at rest: the sprites were drawn as loops of about 3 s."""
_GRAVITY = 1.7
"""World units per second squared; a toy's, so that a fall across the frame takes a second."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What motion must know of the scene around: shape, length, camera, and gravity's place."""

    aspect: float
    duration: float
    followed: bool = False
    floating: bool = False
    """Under water or in space: things sink slowly instead of falling."""


@dataclass(frozen=True, kw_only=True)
class Pose:
    """One actor over T moments; every array is float64 [T]. Fields as in `Timeline`."""

    x: Floats
    y: Floats
    height: Floats
    flip: Floats
    angle: Floats
    wide: Floats
    tall: Floats
    phase: Floats
    opacity: Floats
    ground: Floats


def pose(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """The pose of `cast` at `times` [T] seconds on `stage`."""
    cast = _fitted(cast, stage)
    posed = _MOVES[cast.behaviour](cast, times, stage)
    if cast.directional or cast.behaviour == "spin":
        return posed
    return replace(posed, flip=np.ones_like(times))


def _fitted(cast: Cast, stage: Stage) -> Cast:
    """Shrinks an actor that is too wide for a narrow frame."""
    factor = min(1.0, 0.66 * stage.aspect / cast.width)
    return replace(cast, size=cast.size * factor, width=cast.width * factor)


def _rest(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Standing still with the animation running: what every behaviour starts from."""
    ones = np.ones_like(times)
    floor = np.nan if cast.floor is None else cast.floor
    return Pose(
        x=cast.slot * stage.aspect / 2 * ones,
        y=cast.feet * ones,
        height=cast.size * ones,
        flip=cast.facing * ones,
        angle=0 * ones,
        wide=ones,
        tall=ones,
        phase=cast.phase + _CYCLE * cast.speed * times,
        opacity=ones,
        ground=floor * ones,
    )


def _idle(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Breathes on the ground; bobs slowly in the air and in the water."""
    base = _rest(cast, times, stage)
    turn = 2 * np.pi * (0.45 * times + cast.phase)
    if cast.medium == "ground":
        breath = 0.012 * np.sin(2 * turn)
        return replace(base, tall=1 + breath, wide=1 - breath)
    return replace(base, y=base.y + 0.018 * np.sin(turn), angle=0.04 * np.sin(turn + 1))


def _along(cast: Cast, times: Floats, stage: Stage) -> tuple[Floats, Floats, Floats]:
    """x, horizontal velocity and distance covered of a traveller, each [T]."""
    half = stage.aspect / 2
    if stage.followed:
        sign = {"left": -1.0, "right": 1.0}.get(cast.direction, 0.0)
        speed = sign * CRUISE.get(cast.behaviour, 0.4) * cast.speed
        x = cast.slot * half + speed * times
        return x, np.full_like(times, speed), np.abs(speed) * times
    speed = (cast.reach[1] - cast.reach[0]) * half / max(cast.end - cast.start, 1e-3)
    inside = (times >= cast.start) & (times < cast.end)
    gone = speed * np.clip(times - cast.start, 0, cast.end - cast.start)
    return cast.reach[0] * half + gone, np.where(inside, speed, 0.0), np.abs(gone)


def _stride(cast: Cast, times: Floats, stage: Stage, *, bob: float, tilt: float) -> Pose:
    """A gait on legs: the cycle follows the ground covered, the body bobs twice a stride."""
    base = _rest(cast, times, stage)
    x, velocity, gone = _along(cast, times, stage)
    moving = (velocity != 0).astype(np.float64)
    strides = gone / (0.55 * cast.size) + cast.phase
    hop = np.abs(np.sin(np.pi * strides)) * moving
    lean = np.sign(velocity) * tilt
    return replace(
        base,
        x=x,
        y=base.y - bob * cast.size * hop,
        flip=np.where(velocity == 0, base.flip, np.sign(velocity)),
        angle=lean * (0.6 + 0.4 * np.sin(2 * np.pi * strides)),
        tall=1 + 0.03 * (hop - 0.5) * moving,
        phase=base.phase + 0.55 * gone / cast.size,
    )


def _walk(cast: Cast, times: Floats, stage: Stage) -> Pose:
    return _stride(cast, times, stage, bob=0.035, tilt=0.03)


def _run(cast: Cast, times: Floats, stage: Stage) -> Pose:
    run = _stride(cast, times, stage, bob=0.11, tilt=0.11)
    return replace(run, phase=run.phase + 0.5 * times)


def _leave(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Leaves the frame at one side, turns out of sight and comes back."""
    half = cast.start + (cast.end - cast.start) / 2
    away = replace(cast, behaviour="walk", end=half - 0.15)
    back = replace(
        away,
        start=half + 0.15,
        end=cast.end,
        reach=(cast.reach[1], cast.reach[0]),
        direction={"left": "right", "right": "left"}[cast.direction],
    )
    gait = _MOVES[{"air": "fly", "water": "swim"}.get(cast.medium, "walk")]
    first, second = gait(away, times, stage), gait(back, times, stage)
    early = times < half
    names = Pose.__dataclass_fields__
    return Pose(**{n: np.where(early, getattr(first, n), getattr(second, n)) for n in names})


def _drive(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Wheels roll with the distance; the body shivers with the motor."""
    base = _rest(cast, times, stage)
    x, velocity, gone = _along(cast, times, stage)
    shiver = np.sin(2 * np.pi * 3.3 * times + cast.phase * 6)
    return replace(
        base,
        x=x,
        y=base.y - 0.012 * cast.size * (1 + shiver),
        flip=np.where(velocity == 0, base.flip, np.sign(velocity)),
        angle=0.012 * np.sin(2 * np.pi * 1.7 * times) - 0.02 * np.sign(velocity),
        phase=base.phase + 0.6 * gone / cast.size,
    )


def _glide(cast: Cast, times: Floats, stage: Stage, *, wave: float, pitch: float) -> Pose:
    """Through air or water, sideways, up or down, on a gentle wave."""
    base = _rest(cast, times, stage)
    turn = 2 * np.pi * (0.5 * cast.speed * times + cast.phase)
    sway = np.sin(turn)
    if cast.direction in ("up", "down"):
        share = np.clip((times - cast.start) / max(cast.end - cast.start, 1e-3), 0, 1)
        y = cast.reach[0] + (cast.reach[1] - cast.reach[0]) * share
        return replace(base, x=base.x + 0.02 * sway, y=y, angle=0.05 * np.cos(turn))
    x, velocity, gone = _along(cast, times, stage)
    return replace(
        base,
        x=x,
        y=base.y + wave * sway,
        flip=np.where(velocity == 0, base.flip, np.sign(velocity)),
        # The nose follows the wave: down while sinking, mirrored with the actor.
        angle=pitch * np.cos(turn) * np.sign(velocity),
        phase=base.phase + 0.5 * gone / cast.size,
    )


def _fly(cast: Cast, times: Floats, stage: Stage) -> Pose:
    return _glide(cast, times, stage, wave=0.035, pitch=0.09)


def _swim(cast: Cast, times: Floats, stage: Stage) -> Pose:
    if cast.floor is not None and cast.medium == "water":
        return _glide(cast, times, stage, wave=0.010, pitch=0.04)
    return _glide(cast, times, stage, wave=0.028, pitch=0.10)


def _jump(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Crouch, leap, land, a short rest; again and again."""
    base = _rest(cast, times, stage)
    period = 1.05 / cast.speed
    share = (times / period + cast.phase) % 1.0
    crouch, leap = 0.22, 0.62
    flight = np.clip((share - crouch) / leap, 0, 1)
    lift = 4 * flight * (1 - flight) * (0.16 + 0.12 * cast.amount)
    ready = np.where(share < crouch, np.sin(np.pi * share / crouch), 0.0)
    landed = np.where(share > crouch + leap, 1 - (share - crouch - leap) / (1 - crouch - leap), 0.0)
    press = 0.16 * ready + 0.14 * np.sin(np.pi * np.clip(landed, 0, 1))
    stretch = 0.10 * np.where(flight * (1 - flight) > 0, np.abs(1 - 2 * flight), 0.0)
    return replace(
        base, y=base.y - lift, tall=1 - press + stretch, wide=1 + 0.7 * press - 0.6 * stretch
    )


def _dance(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Sways and hops to a beat."""
    base = _rest(cast, times, stage)
    beat = 2 * np.pi * (0.9 * cast.speed * times + cast.phase)
    hop = np.abs(np.sin(beat))
    return replace(
        base,
        x=base.x + 0.035 * np.sin(beat),
        y=base.y - 0.05 * cast.size * hop,
        angle=0.13 * np.sin(beat),
        tall=0.97 + 0.06 * hop,
        phase=base.phase + 0.3 * times,
    )


def _bounce(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Dropped on an elastic floor; squashed where it touches."""
    base = _rest(cast, times, stage)
    radius = cast.size / 2
    height = 0.20 + 0.14 * cast.amount
    seconds, x, y, _ = physics.simulate(
        duration=max(stage.duration, float(times.max(initial=0.0))),
        radius=radius,
        x=cast.slot * stage.aspect / 2,
        y=cast.feet - radius - height,
        velocity=0.0,
        floor=cast.feet,
        gravity=0.25 * _GRAVITY if stage.floating else 1.25 * _GRAVITY,
        elasticity=0.955,
    )
    bottom = np.interp(times, seconds, y) + radius
    near = np.clip(1 - (cast.feet - bottom) / (0.16 * cast.size), 0, 1)
    return replace(
        base,
        x=np.interp(times, seconds, x),
        y=np.minimum(bottom, cast.feet),
        angle=0.05 * np.sin(2 * np.pi * 0.4 * times + 6 * cast.phase),
        tall=1 - 0.17 * near,
        wide=1 + 0.13 * near,
    )


def _fall(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Comes down from above the frame and settles; sinks where there is no weight."""
    base = _rest(cast, times, stage)
    since = np.maximum(times - cast.start, 0.0)
    if stage.floating:
        sway = 2 * np.pi * (0.35 * times + cast.phase)
        y = np.minimum(0.15 + 0.26 * cast.speed * since, cast.feet)
        return replace(base, x=base.x + 0.04 * np.sin(sway), y=y, angle=0.25 * np.cos(sway))
    radius = cast.size / 2
    seconds, _, y, _ = physics.simulate(
        duration=max(stage.duration, float(times.max(initial=0.0))),
        radius=radius,
        x=0.0,
        y=0.20 - radius,
        velocity=0.0,
        floor=cast.feet,
        gravity=0.8 * _GRAVITY * cast.speed,
        elasticity=0.45,
    )
    bottom = np.minimum(np.interp(since, seconds, y) + radius, cast.feet)
    height = cast.feet - bottom
    near = np.clip(1 - height / (0.12 * cast.size), 0, 1) * np.exp(-1.2 * since)
    tumble = 0.9 * (cast.phase - 0.5) * height
    return replace(base, y=bottom, angle=tumble, tall=1 - 0.3 * near, wide=1 + 0.2 * near)


def _slide(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Glides along the ground, leaning back a little."""
    base = _rest(cast, times, stage)
    x, velocity, _ = _along(cast, times, stage)
    flip = np.where(velocity == 0, base.flip, np.sign(velocity))
    return replace(base, x=x, flip=flip, angle=-0.06 * np.sign(velocity))


def _roll(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Rolls without slipping: the angle is the distance over the radius."""
    base = _rest(cast, times, stage)
    x, _, gone = _along(cast, times, stage)
    sign = -1.0 if cast.direction == "left" else 1.0
    return replace(base, x=x, angle=sign * gone / (cast.size / 2) + 6 * cast.phase)


def _spin(cast: Cast, times: Floats, stage: Stage) -> Pose:
    """Round things turn in the plane of the picture; bodies twirl about their own height."""
    base = _rest(cast, times, stage)
    sign = -1.0 if cast.direction == "left" else 1.0
    turn = sign * 2 * np.pi * 0.5 * cast.speed * times
    lift = 0.02 * (1 - np.cos(turn)) * (cast.medium == "ground")
    if cast.round:
        return replace(base, angle=turn, y=base.y - lift)
    face = np.cos(turn + 1e-3)
    flip = base.flip * np.where(face >= 0, 1.0, -1.0)
    return replace(base, flip=flip, wide=np.maximum(np.abs(face), 0.12), y=base.y - lift)


def _scaled(cast: Cast, times: Floats, stage: Stage, first: float, last: float) -> Pose:
    base = _rest(cast, times, stage)
    share = np.clip((times - cast.start) / max(cast.end - cast.start, 1e-3), 0, 1)
    factor = first * (last / first) ** share
    wobble = 0.02 * np.sin(2 * np.pi * 1.5 * times)
    y = base.y if cast.medium == "ground" else base.y - cast.size * (1 - factor) / 2
    return replace(base, height=base.height * factor, y=y, tall=1 + wobble, wide=1 - wobble)


def _grow(cast: Cast, times: Floats, stage: Stage) -> Pose:
    return _scaled(cast, times, stage, 0.42, 1.12)


def _shrink(cast: Cast, times: Floats, stage: Stage) -> Pose:
    return _scaled(cast, times, stage, 1.12, 0.42)


_MOVES: dict[str, Callable[[Cast, Floats, Stage], Pose]] = {
    "idle": _idle,
    "walk": _walk,
    "run": _run,
    "jump": _jump,
    "bounce": _bounce,
    "fall": _fall,
    "roll": _roll,
    "fly": _fly,
    "swim": _swim,
    "drive": _drive,
    "slide": _slide,
    "float": _idle,
    "dance": _dance,
    "spin": _spin,
    "grow": _grow,
    "shrink": _shrink,
    "leave": _leave,
}
