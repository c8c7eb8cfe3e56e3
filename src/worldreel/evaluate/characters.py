"""Characters: is what was shown of a cast member what the video shows?

Asked are the second shots of stories. The prompt calls the hero by a name alone, so that only the
reference, a clip of the first shot, can tell who it is; the same prompt without it is the bar from
below, the prompt that says kind and colour the bar from above. A clip is right in its kind if that
is what the judge sees most surely, in its colour likewise; the place asked for is that of the
prompt, not that of the reference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from worldreel.evaluate.figures import Exam, Figure, share
from worldreel.evaluate.judge import view
from worldreel.evaluate.shots import stories
from worldreel.request import Character, KnownClip, Request
from worldreel.video import Video
from worldreel.world.places import place
from worldreel.world.scene import Scene
from worldreel.world.words import article

__all__ = ["carried"]

SECONDS = 2.0
NAME = "Mossy"


def carried(exam: Exam, *, clips: int) -> list[Figure]:
    """Kind and colour of the hero in `clips` clips, by what the model was told of it."""
    asked = [*islice(stories(exam.world, split="seen", shots=2), clips)]
    ways: dict[str, Callable[[Scene, Character], Request]] = {
        "its name alone": lambda scene, hero: _request(scene, NAME),
        "its name and a clip": lambda scene, hero: _request(scene, NAME, hero),
        "its kind alone": lambda scene, hero: _request(scene, _kind(scene)),
        "its kind and a clip": lambda scene, hero: _request(
            scene, NAME, replace(hero, about=_kind(scene))
        ),
        "kind and colour": lambda scene, hero: _request(scene, _whole(scene)),
        "kind, colour and a clip": lambda scene, hero: _request(
            scene, NAME, replace(hero, about=_whole(scene))
        ),
    }
    right: dict[str, list[tuple[bool, bool, bool]]] = {way: [] for way in ways}
    for number, story in enumerate(asked):
        exam.progress("characters", number, len(asked))
        size, (first, scene) = exam.size(0), story.scenes
        shown = exam.clip(first, size, round(1.5 * exam.fps))
        hero = Character(name=NAME, known=KnownClip(clip=shown))
        for way, request in ways.items():
            made = exam.make(replace(request(scene, hero), **exam.settings(story.seed, size)))
            right[way].append(_right(exam, scene, made))
    exam.progress("characters", len(asked), len(asked))
    return [
        Figure(
            group="characters",
            name=f"told {way}: {what}",
            value=share([answer[part] for answer in answers]),
            unit="%",
            n=len(answers),
        )
        for way, answers in right.items()
        for part, what in enumerate(("kind", "colour", "place"))
    ]


def _request(scene: Scene, who: str, *cast: Character) -> Request:
    name = cast[0].name if cast else who
    return Request(prompt=f"{name} {place(scene.place).phrases[0]}", seconds=SECONDS, cast=cast)


def _kind(scene: Scene) -> str:
    return article(scene.actors[0].kind.replace("_", " "))


def _whole(scene: Scene) -> str:
    hero = scene.actors[0]
    return article(f"{hero.colour} {hero.kind.replace('_', ' ')}")


def _right(exam: Exam, scene: Scene, made: Video) -> tuple[bool, bool, bool]:
    seen, hero = exam.judges.judge(view(made.frames))[0], scene.actors[0]
    return hero.kind in seen.kinds[:1], seen.colour == hero.colour, seen.place == scene.place
