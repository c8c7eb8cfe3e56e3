"""Several shots in one video: is it the same character in each, and is the cut where it was asked?

Asked are stories of the world whose hero wears a colour and is in view in every shot. A shot is
right if the judge sees the hero's kind among the surest (as many as there are actors) in the
hero's colour; a storyboard is right if all of its shots are. Beside it stands what the judge makes
of renders of the very stories. The cut found is the largest frame difference within half a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from worldreel import tasks
from worldreel.evaluate.figures import FIRST_SEED, Exam, Figure, changes, middle, share
from worldreel.evaluate.judge import view
from worldreel.evaluate.prompts import sentence
from worldreel.request import Shot
from worldreel.world.config import WorldConfig
from worldreel.world.facts import facts
from worldreel.world.scene import Scene
from worldreel.world.story import Story, sample_story

__all__ = ["found_cut", "stories", "storyboards"]

SECONDS = 1.5
"""Of each shot."""
SHOTS = (2, 3, 4)
_SAME, _CUT, _NEAR = 90.0, 2, 6
_CUTS = 95.0


def storyboards(exam: Exam, *, each: int) -> list[Figure]:
    """`each` storyboards of 2, 3 and 4 shots, of seen and of unseen combinations."""
    right: dict[int, list[bool]] = {count: [] for count in SHOTS}
    shown: list[bool] = []
    truth: list[bool] = []
    misses: list[int] = []
    asked = [
        story
        for count in SHOTS
        for split in ("seen", "unseen")
        for story in islice(stories(exam.world, split=split, shots=count), each)
    ]
    for number, story in enumerate(asked):
        exam.progress("storyboards", number, len(asked))
        frames = _make(exam, story)
        long = round(SECONDS * exam.fps)
        cuts = [n * long for n in range(1, len(story.scenes))]
        misses += [abs(found_cut(frames, cut) - cut) for cut in cuts]
        parts = frames.split(long)
        same = [_hero(exam, s, p[2:-2]) for s, p in zip(story.scenes, parts, strict=True)]
        shown += same
        right[len(story.scenes)].append(all(same))
        size = exam.size(0)
        renders = [exam.clip(scene, size, long).frames for scene in story.scenes]
        truth.append(all(_hero(exam, s, r) for s, r in zip(story.scenes, renders, strict=True)))
    exam.progress("storyboards", len(asked), len(asked))
    every = [answer for some in right.values() for answer in some]
    by = ", ".join(f"{count} shots {share(some)} %" for count, some in right.items())
    near = [miss <= _CUT for miss in misses]
    return [
        Figure(group="shots", name="the hero, in its colour, in every shot", value=share(every),
               unit="%", n=len(every), target=_SAME, note=by),
        Figure(group="shots", name="the hero in a single shot", value=share(shown), unit="%",
               n=len(shown)),
        Figure(group="shots", name="every shot: the judge on renders", value=share(truth),
               unit="%", n=len(truth)),
        Figure(group="shots", name="cuts within 2 frames of the time asked", value=share(near),
               unit="%", n=len(near), target=_CUTS,
               note=f"median {middle(misses)} frames, worst {max(misses, default=0)}"),
    ]  # fmt: skip


def stories(world: WorldConfig, *, split: str, shots: int) -> Iterator[Story]:
    """Stories whose hero wears a colour and can be seen in every shot, without end."""
    seed = FIRST_SEED
    while True:
        story = sample_story(seed, config=world, split=split, shots=shots)
        if story.hero.colour and all(_in_view(scene) for scene in story.scenes):
            yield story
        seed += 1


def _in_view(scene: Scene) -> bool:
    hero = facts(scene, np.linspace(0, SECONDS, 9), 1.0)["actors"][0]
    shown, hidden = np.asarray(hero["in_view"]), np.asarray(hero["occluded"])
    return bool(shown.mean() > 0.6 and ((shown > 0.5) & (hidden < 0.4)).mean() > 0.7)


def _make(exam: Exam, story: Story) -> Tensor:
    board = [
        Shot(
            prompt=sentence(scene, np.random.default_rng([story.seed, n])),
            seconds=round(SECONDS * exam.fps) / exam.fps,
        )
        for n, scene in enumerate(story.scenes)
    ]
    request = tasks.storyboard(board, **exam.settings(story.seed, exam.size(0)))
    return exam.make(request).frames


def _hero(exam: Exam, scene: Scene, frames: Tensor) -> bool:
    """Whether the judge sees the hero in its colour."""
    seen, hero = exam.judges.judge(view(frames))[0], scene.actors[0]
    known = hero.kind in seen.kinds[: len(scene.actors)]
    return known and seen.colours[hero.kind] == hero.colour


def found_cut(frames: Tensor, asked: int, *, near: int = _NEAR) -> int:
    """The first frame of the new shot: where the change is largest, around frame `asked`."""
    low = max(1, asked - near)
    change = changes(frames[low - 1 : asked + near + 1])
    return low + int(torch.argmax(change))
