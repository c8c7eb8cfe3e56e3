"""Native sizes: is a wide and a tall video as true to its prompt as a square one?

The judges look at every size at the same scale: 64 pixels for the frame's height, so that what
they learned on squares holds. A subject is inside the frame at a moment if the judge finds an actor
and neither side of the frame cuts through it: at the outermost cells it is at most half as high as
where it is highest. On renders 88 to 99 % of actors wholly in view pass, 4 to 11 % of those cut.
Both are held against what the judge makes of renders of the same scenes at the same sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from worldreel.evaluate.continuing import plain_scenes
from worldreel.evaluate.figures import Exam, Figure, share
from worldreel.evaluate.judge import MOMENTS, SIDE, Judges
from worldreel.evaluate.lessons import moments
from worldreel.evaluate.prompts import sentence, visible
from worldreel.request import Request
from worldreel.world.facts import facts
from worldreel.world.scene import Scene

__all__ = ["Sight", "native_sizes", "sight"]

SECONDS = 2.0
_POINTS = -2.0
_CELLS, _CUT = 3.0, 0.5
_STEP = 8  # pixels: the judge halves three times


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What Look sees of a clip of any aspect: place, the surest kind, its colour, and at each of
    nine moments whether an actor is inside the frame."""

    place: str
    kind: str
    colour: str
    inside: tuple[bool, ...]


@dataclass
class _Answers:
    place: list[bool] = field(default_factory=list)
    kind: list[bool] = field(default_factory=list)
    colour: list[bool] = field(default_factory=list)
    inside: list[bool] = field(default_factory=list)

    def add(self, seen: Sight, scene: Scene) -> None:
        cast = scene.actors[0]
        self.place.append(seen.place == scene.place)
        self.kind.append(seen.kind == cast.kind)
        if cast.colour:
            self.colour.append(seen.colour == cast.colour)
        self.inside += seen.inside

    @property
    def adherence(self) -> float | None:
        """Percent right: the mean of place, kind and colour."""
        parts = [p for p in map(share, (self.place, self.kind, self.colour)) if p is not None]
        return round(sum(parts) / len(parts), 1) if parts else None


@torch.no_grad()
def sight(judges: Judges, frames: Tensor) -> Sight:
    """Looks at nine moments of uint8 frames `[T, H, W, 3]` of any aspect."""
    high, wide = frames.shape[1:3]
    size = (SIDE, max(_STEP, round(SIDE * wide / high / _STEP) * _STEP))
    picked = frames[torch.linspace(0, len(frames) - 1, MOMENTS).round().long()]
    pixels = picked.permute(0, 3, 1, 2).float() / 127.5 - 1
    kind, colour, place, _ = judges.look(F.interpolate(pixels, size=size, mode="area"))
    words = judges.vocabulary
    kinds = kind.softmax(1)[:, 1:]
    presence = kinds.flatten(2).topk(8, -1).values.mean((0, 2))
    tall = kinds.sum((1, 2))  # how much of an actor is in each column of cells, [9, columns]
    edge = torch.maximum(tall[:, 0], tall[:, -1])
    inside = (tall.sum(1) >= _CELLS) & (edge <= _CUT * tall.amax(1))
    painted = torch.einsum("tkyx,tcyx->c", kinds, colour[:, :-1].softmax(1))
    return Sight(
        place=words.places[int(place.log_softmax(1).mean(0).argmax())],
        kind=words.kinds[int(presence.argmax())],
        colour=words.colours[int(painted.argmax())],
        inside=tuple(inside.tolist()),
    )


def native_sizes(exam: Exam, *, clips: int) -> list[Figure]:
    """The same `clips` questions, each answered at every native size."""
    natives = exam.model.settings.natives

    def fits(scene: Scene) -> bool:
        return visible(scene) and all(_in_view(scene, w / h) for w, h in natives)

    scenes = plain_scenes(exam, clips, fits)
    made = {size: _Answers() for size in natives}
    truth = {size: _Answers() for size in natives}
    for number, scene in enumerate(scenes):
        exam.progress("native sizes", number, clips)
        prompt = sentence(scene, np.random.default_rng([scene.seed, 5]))
        for size in natives:
            request = Request(prompt=prompt, seconds=SECONDS, **exam.settings(scene.seed, size))
            made[size].add(sight(exam.judges, exam.make(request).frames), scene)
            render = exam.clip(scene, size, round(SECONDS * exam.fps)).frames
            truth[size].add(sight(exam.judges, render), scene)
    exam.progress("native sizes", clips, clips)
    square = made[natives[0]].adherence
    found: list[Figure] = []
    for size, answers in made.items():
        found += _of_size(size, answers, truth[size], None if size == natives[0] else square)
    return found


def _of_size(
    size: tuple[int, int], answers: _Answers, truth: _Answers, square: float | None
) -> list[Figure]:
    name, value = "{}x{}".format(*size), answers.adherence
    note = (
        f"place {share(answers.place)}, kind {share(answers.kind)}, "
        f"colour {share(answers.colour)}; judge on renders {truth.adherence}"
    )
    found = [
        Figure(group="sizes", name=f"{name}: as asked", value=value, unit="%",
               n=len(answers.place), note=note)
    ]  # fmt: skip
    if square is not None and value is not None:
        found.append(
            Figure(group="sizes", name=f"{name}: minus the square", value=round(value - square, 1),
                   unit="points", n=len(answers.place), target=_POINTS)
        )  # fmt: skip
    found.append(
        Figure(group="sizes", name=f"{name}: subject inside the frame",
               value=share(answers.inside), unit="%", n=len(answers.inside),
               note=f"in renders {share(truth.inside)} %")
    )  # fmt: skip
    return found


def _in_view(scene: Scene, aspect: float) -> bool:
    shown = facts(scene, moments(), aspect)["actors"][0]["in_view"]
    return float(np.mean(shown)) > 0.8
