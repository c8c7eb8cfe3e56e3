"""Lessons for the judges: rendered clips with the truth about every cell, without end.

Scenes come from the split that a model trains on and from the held-out combinations in turn. The
truth about a cell is the actor whose box it lies in where the renderer says that an actor covers
it; cells at an actor's edge, or where two boxes meet, are left out (-1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from worldreel.codec.model import Codec
from worldreel.evaluate.judge import DIRECTIONS, GRID, MOMENTS, SIDE, Vocabulary
from worldreel.world import atlas
from worldreel.world.config import WorldConfig
from worldreel.world.facts import boxes
from worldreel.world.render import Renderer
from worldreel.world.scene import Scene, sample_scene

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

SECONDS = 2.0
"""Length of the clips that are judged."""
FIRST_SEED = 50_000_000
"""Seeds of lessons begin here, those of the benchmark at 0: nothing is asked that was taught."""
_COVERED, _FREE = 0.4, 0.1
_SINGLE = 0.43  # of scenes with one actor, so that two of three have two
_ROUND = ("ball", "balloon", "star")  # what a shapeless blob could still be


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """A batch of views, T = 9 moments or fewer, with their truths (-1 where there is none)."""

    clips: Tensor
    """[B, T, 3, 64, 64] in [-1, 1], or uint8 (see `seen`)."""
    kind: Tensor
    """[B, T, 16, 16]: 0 nobody, 1 + index."""
    colour: Tensor
    """[B, T, 16, 16]: index; the number of colours for what is not painted."""
    direction: Tensor
    """[B, 8, 8]: 0 nobody, 1 + index."""
    place: Tensor
    time: Tensor
    camera: Tensor


def vocabulary(world: WorldConfig) -> Vocabulary:
    """What judges of a world must tell apart."""
    return Vocabulary(
        kinds=world.kinds,
        colours=world.colours,
        places=world.places,
        times=world.times,
        cameras=world.cameras,
    )


def moments() -> Floats:
    """The judged moments in seconds, [9]."""
    return np.linspace(0.0, SECONDS, MOMENTS)


def clear_camera(scene: Scene) -> bool:
    """Whether the eye can tell the camera's move: a pan that goes with the actor is a follow."""
    if "pan" not in scene.camera.name:
        return True
    where = boxes(scene, scene.timeline(moments(), aspect=1.0), aspect=1.0)
    centre = (where[..., 0] + where[..., 2]) / 2
    staying = np.abs(centre[-1] - centre[0]) < 0.12
    with_it = [c.direction == scene.camera.name.split()[1] for c in scene.actors]
    return not bool((staying & np.asarray(with_it)).any())


def cells(scene: Scene, coverage: Tensor, times: Floats) -> Ints:
    """Who is in each cell, [T, 16, 16]: 0 nobody, 1 + index of the actor, -1 unclear.

    Args:
        coverage: [T, H, W] as rendered in a square frame at `times` [T] seconds.
    """
    line = scene.timeline(times, aspect=1.0)
    where = boxes(scene, line, aspect=1.0)
    covered = F.interpolate(coverage[:, None].float(), size=(GRID, GRID), mode="area")[:, 0]
    share = covered.cpu().numpy()
    centre = (np.arange(GRID) + 0.5) / GRID
    who = np.where(share < _FREE, 0, -1).astype(np.int64)
    nearest = np.full(who.shape, np.inf)
    for index in range(line.actors):
        left, top, right, bottom = (where[:, index, k, None, None] for k in range(4))
        across = np.abs(centre[None, None, :] - (left + right) / 2) / ((right - left) / 2 + 1e-6)
        down = np.abs(centre[None, :, None] - (top + bottom) / 2) / ((bottom - top) / 2 + 1e-6)
        inside = (across < 1) & (down < 1) & (share > _COVERED)
        near = float(line.order[0, index])
        sure = (across**2 + down**2) < 0.8
        # In the nearer actor's ellipse the cell is its own; in both boxes otherwise unclear.
        fresh = inside & ~np.isfinite(nearest)
        over = inside & np.isfinite(nearest)
        front = over & sure & (near > nearest)
        behind = over & (near < nearest) & ((who != -1) & _sure_before(where, index, centre))
        who = np.where(fresh | front, index + 1, np.where(over & ~behind, -1, who))
        nearest = np.where(inside, np.where(np.isfinite(nearest), np.maximum(nearest, near), near),
                           nearest)  # fmt: skip
    return who


def _sure_before(where: Floats, index: int, centre: Floats) -> Ints:
    """Whether a cell lies in the ellipse of any actor before `index`, [9, 16, 16]."""
    sure = np.zeros((len(where), GRID, GRID), bool)
    for other in range(index):
        left, top, right, bottom = (where[:, other, k, None, None] for k in range(4))
        across = (centre[None, None, :] - (left + right) / 2) / ((right - left) / 2 + 1e-6)
        down = (centre[None, :, None] - (top + bottom) / 2) / ((bottom - top) / 2 + 1e-6)
        sure |= (across**2 + down**2) < 0.8
    return sure


def truths(
    scenes: Sequence[Scene], coverage: Tensor, words: Vocabulary, times: Floats
) -> dict[str, Tensor]:
    """All truths of `Lesson` for scenes rendered with `coverage` [B, T, H, W] at `times` [T]."""
    kinds, colours, directions = [], [], []
    for scene, covered in zip(scenes, coverage, strict=True):
        who = cells(scene, covered, times)
        entry = [words.kinds.index(c.kind) + 1 for c in scene.actors]
        paint = [_paint(c.kind, c.colour, words) for c in scene.actors]
        goes = [DIRECTIONS.index(c.direction) + 1 for c in scene.actors]
        kinds.append(np.asarray([-1, 0, *entry])[who + 1])
        colours.append(np.asarray([-1, -1, *paint])[who + 1])
        directions.append(_travel(who, goes))
    return {
        "kind": torch.from_numpy(np.stack(kinds)),
        "colour": torch.from_numpy(np.stack(colours)),
        "direction": torch.from_numpy(np.stack(directions)),
        "place": torch.tensor([words.places.index(s.place) for s in scenes]),
        "time": torch.tensor([words.times.index(s.time) for s in scenes]),
        "camera": torch.tensor(
            [words.cameras.index(s.camera.name) if clear_camera(s) else -1 for s in scenes]
        ),
    }


def _paint(kind: str, colour: str | None, words: Vocabulary) -> int:
    """The colour's index; unpainted kinds that can be painted look like one of the eight: -1."""
    if colour is not None:
        return words.colours.index(colour)
    return -1 if atlas.kind(kind).recolourable else len(words.colours)


def _travel(who: Ints, goes: Sequence[int]) -> Ints:
    """The direction of the actor that is often in a cell of the 8×8 grid, [8, 8]."""
    half = GRID // 2
    often = [(who == i + 1).reshape(-1, half, 2, half, 2).mean((0, 2, 4)) for i in range(len(goes))]
    found = np.full((half, half), -1, np.int64)
    total = sum(often) if often else np.zeros((half, half))
    empty = (who == 0).reshape(-1, half, 2, half, 2).mean((0, 2, 4)) > 0.9
    found[(total < 0.02) & empty] = 0
    for share, way in zip(often, goes, strict=True):
        found[(share > 0.22) & (share > 3 * (total - share))] = way
    return found


def scenes_of(
    world: WorldConfig, start: int, count: int, *, plain: float = 0.6, single: float = 1.0
) -> list[Scene]:
    """Scenes from seeds at `start`, half of unseen combinations; of the unpainted only the share
    `plain` is kept, of those with one actor the share `single`."""
    chosen: list[Scene] = []
    seed = start
    while len(chosen) < count:
        scene = sample_scene(seed, config=world, split="unseen" if seed % 2 else "train")
        painted = any(c.colour for c in scene.actors)
        wanted = len(scene.actors) > 1 or (seed * 104729 % 1000) / 1000 < single
        if wanted and (painted or (seed * 7919 % 1000) / 1000 < plain):
            chosen.append(scene)
        seed += 1
    return chosen


def lessons(world: WorldConfig, *, batch: int, start: int = FIRST_SEED) -> Iterator[Lesson]:
    """Endless clips of nine moments, rendered freshly."""
    words = vocabulary(world)
    renderer = Renderer(unit=SIDE, side=SIDE // 2, variants=6)
    fps = (MOMENTS - 1) / SECONDS
    while True:
        scenes = scenes_of(world, start, batch)
        start = scenes[-1].seed + 1
        shown = renderer.render(scenes, width=SIDE, height=SIDE, frames=MOMENTS, fps=fps)
        answers = truths(scenes, shown.coverage, words, moments())
        yield Lesson(clips=shown.frames.transpose(1, 2), **answers)


def stills(world: WorldConfig, *, batch: int, start: int = FIRST_SEED) -> Iterator[Lesson]:
    """Endless fresh scenes in three moments, two of three with two actors: Look's lessons. Drawn
    at the size of generated clips and pooled like them, so that edges are what they will be."""
    words = vocabulary(world)
    renderer = Renderer(unit=2 * SIDE, side=SIDE, variants=6)
    while True:
        scenes = scenes_of(world, start, batch, single=_SINGLE)
        start = scenes[-1].seed + 1
        first, gap = np.random.default_rng(start).uniform((0.0, 0.2), (1.2, 0.4))
        shown = renderer.render(
            scenes, width=2 * SIDE, height=2 * SIDE, frames=3, fps=1 / gap, start=float(first)
        )
        yield Lesson(
            clips=_bytes(shown.frames),
            **truths(scenes, shown.coverage, words, first + gap * np.arange(3)),
        )


def reconstructions(
    codec: Codec, world: WorldConfig, *, count: int, start: int, batch: int = 6
) -> Iterator[Lesson]:
    """Like `stills`, as a codec gives them back: three moments of nine frames at 128², 12 fps."""
    words = vocabulary(world)
    renderer = Renderer(unit=2 * SIDE, side=SIDE, variants=6)
    every, fps = 4, 12.0
    for _ in range(0, count, batch):
        scenes = scenes_of(world, start, batch, single=_SINGLE)
        start = scenes[-1].seed + 1
        first = float(np.random.default_rng(start).uniform(0.0, 1.2))
        shown = renderer.render(
            scenes, width=2 * SIDE, height=2 * SIDE, frames=9, fps=fps, start=first
        )
        with torch.no_grad():
            decoded, _ = codec.decode(codec.encode(shown.frames)[0])
        times = first + every * np.arange(3) / fps
        answers = truths(scenes, shown.coverage[:, ::every], words, times)
        yield Lesson(clips=_bytes(decoded[:, :, ::every]), **answers)


def _bytes(frames: Tensor) -> Tensor:
    """[B, 3, T, 128, 128] in about [-1, 1] → uint8 [B, T, 3, 64, 64], pooled as in `view`."""
    flat = frames.transpose(1, 2).clamp(-1, 1).flatten(0, 1)
    small = F.interpolate(flat, size=(SIDE, SIDE), mode="area").unflatten(0, (len(frames), -1))
    stored: Tensor = ((small + 1) * 127.5).round().to(torch.uint8)
    return stored


def joined(parts: Sequence[Lesson]) -> Lesson:
    """Many lessons as one."""
    names = [field.name for field in fields(Lesson)]
    return Lesson(**{n: torch.cat([getattr(p, n) for p in parts]) for n in names})


def some_of(lesson: Lesson, batch: int) -> Lesson:
    """`batch` random clips of a large lesson."""
    picked = torch.randint(len(lesson.clips), (batch,))
    return Lesson(**{f.name: getattr(lesson, f.name)[picked] for f in fields(Lesson)})


def seen(lesson: Lesson) -> Lesson:
    """Clips kept in 8 bits as floats in [-1, 1]."""
    if lesson.clips.dtype != torch.uint8:
        return lesson
    return replace(lesson, clips=lesson.clips.float() / 127.5 - 1)


_MIRRORED = torch.tensor([0, 1, 3, 2, 4, 5])  # nobody, none, left ↔ right, up, down
_REVERSED = torch.tensor([0, 1, 3, 2, 5, 4])
_OPPOSITE = {"pan left": "pan right", "zoom in": "zoom out"}
_OPPOSITE |= {b: a for a, b in _OPPOSITE.items()}


def mirrored(lesson: Lesson, words: Vocabulary) -> Lesson:
    """Left and right swapped, in pictures and truths."""
    pans = {a: b for a, b in _OPPOSITE.items() if a.startswith("pan")}
    return replace(
        lesson,
        clips=lesson.clips.flip(-1),
        kind=lesson.kind.flip(-1),
        colour=lesson.colour.flip(-1),
        direction=_mapped(lesson.direction.flip(-1), _MIRRORED),
        camera=_mapped(lesson.camera, _renamed(words.cameras, pans)),
    )


def backwards(lesson: Lesson, words: Vocabulary) -> Lesson:
    """Time reversed: who faces right now goes left, so that facing alone tells no direction."""
    return replace(
        lesson,
        clips=lesson.clips.flip(1),
        kind=lesson.kind.flip(1),
        colour=lesson.colour.flip(1),
        direction=_mapped(lesson.direction, _REVERSED),
        camera=_mapped(lesson.camera, _renamed(words.cameras, _OPPOSITE)),
    )


def _renamed(names: Sequence[str], swaps: dict[str, str]) -> Tensor:
    return torch.tensor([names.index(swaps.get(name, name)) for name in names])


def _mapped(values: Tensor, table: Tensor) -> Tensor:
    return torch.where(values < 0, values, table[values.clamp_min(0)])


def weathered(clips: Tensor) -> Tensor:
    """Mild damage [B, 9, 3, 64, 64], another to every clip: blur, noise, a little more or less
    light; for what codecs and young models do to a picture."""
    count = len(clips)
    soft = F.avg_pool2d(clips.flatten(0, 1), 2)
    soft = F.interpolate(soft, size=clips.shape[-2:], mode="bilinear").unflatten(0, (count, -1))
    blur = (torch.rand(count, 1, 1, 1, 1) * 1.6 - 0.6).clamp(0, 1)
    noise = 0.08 * torch.rand(count, 1, 1, 1, 1) * torch.randn_like(clips)
    gain = 1 + 0.08 * (torch.rand(count, 1, 1, 1, 1) - 0.5)
    worn: Tensor = ((clips + blur * (soft - clips)) * gain + noise).clamp(-1, 1)
    return worn


def hued(lesson: Lesson, share: float) -> Lesson:
    """In a `share` of clips all hues turned and paler or stronger, colour, place and time not
    asked: so that the shape decides what an actor is, not its usual colour."""
    count = len(lesson.clips)
    turned = torch.rand(count) < share
    angle, strength = 2 * torch.pi * torch.rand(count), 0.2 + torch.rand(count)
    grey = torch.full((3, 3), 1 / 3)
    side = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]]) / 3**0.5
    cos, sin = (strength * f(angle) for f in (torch.cos, torch.sin))
    turn = grey + cos[:, None, None] * (torch.eye(3) - grey) + sin[:, None, None] * side
    turn = torch.where(turned[:, None, None], turn, torch.eye(3))
    unasked = {n: getattr(lesson, n) for n in ("colour", "place", "time")}
    for name, truth in unasked.items():
        unasked[name] = truth.masked_fill(turned.view(-1, *[1] * (truth.ndim - 1)), -1)
    clips = torch.einsum("bij,btjyx->btiyx", turn, lesson.clips).clamp(-1, 1)
    return replace(lesson, clips=clips, **unasked)


def blobbed(lesson: Lesson, words: Vocabulary, share: float) -> Lesson:
    """In a `share` of clips actors are blobs of their colour, as young models paint them, and
    nobody is what they are: a brown blob is no horse. Kinds as round as blobs stay as they are."""
    kinds = lesson.kind.flatten(1)
    round_ = torch.tensor([words.kinds.index(k) + 1 for k in _ROUND if k in words.kinds])
    blobs = (torch.rand(len(kinds)) < share) & ~torch.isin(kinds, round_).any(1)
    cells = lesson.kind[blobs]
    if cells.numel() == 0:
        return lesson
    size, flat = lesson.clips.shape[-2:], lesson.clips[blobs].flatten(0, 1)
    actor = F.interpolate((cells > 0).flatten(0, 1)[:, None].float(), size=size)
    around = F.interpolate((cells == 0).flatten(0, 1)[:, None].float(), size=size)
    behind, paint = _filled(flat, around), _filled(flat, actor)
    edge = 2 + 6 * torch.rand(len(flat), 1, 1, 1)
    body = (edge * (F.avg_pool2d(actor, 9, 1, 4) - 0.45) + 0.5).clamp(0, 1)
    drawn = around * flat + (1 - around) * behind
    clips, kind = lesson.clips.clone(), lesson.kind.clone()
    clips[blobs] = (drawn + body * (paint - drawn)).unflatten(0, cells.shape[:2])
    kind[blobs] = cells.clamp(max=0)
    return replace(lesson, clips=clips, kind=kind)


def _filled(frames: Tensor, where: Tensor) -> Tensor:
    """What lies under the mask `where` [N, 1, H, W] spread smoothly over the whole frame."""
    both = torch.cat([frames * where, where + 1e-6], 1)
    for _ in range(3):
        both = F.avg_pool2d(both, 11, 1, 5)
    return both[:, :-1] / both[:, -1:]
