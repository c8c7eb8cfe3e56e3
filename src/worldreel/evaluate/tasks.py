"""Every task but text to video, measured on held-out scenes whose truth is known.

Given frames, motion that is settled by what was given, seams, a minute, storyboards, native
sizes, characters: each has a module that says how it is measured. Here they are put together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from worldreel.evaluate import characters, continuing, minute, shots, sizes
from worldreel.evaluate.bench import Progress
from worldreel.evaluate.figures import Exam, Figure
from worldreel.evaluate.judge import Judges
from worldreel.evaluate.world import judged_world
from worldreel.generator import Generator

__all__ = ["Counts", "evaluate_tasks"]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """How many cases each examination has; none leaves it out."""

    settled: int = 40
    stills: int = 20
    masked: int = 10
    seams: int = 20
    minutes: int = 10
    probes: int = 2
    stories: int = 10
    """Of each number of shots and each split."""
    sizes: int = 100
    characters: int = 20

    @classmethod
    def quick(cls) -> Counts:
        """Minutes instead of an hour on two cores."""
        return cls(
            settled=10,
            stills=4,
            masked=3,
            seams=5,
            minutes=3,
            probes=1,
            stories=3,
            sizes=20,
            characters=4,
        )


_QUICK_STEPS = 8


def _nothing(what: str, done: int, total: int) -> None:
    pass


def evaluate_tasks(
    generator: Generator,
    *,
    quick: bool = False,
    counts: Counts | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    model: str = "embedded",
    progress: Progress = _nothing,
) -> dict[str, Any]:
    """All figures of the tasks; the result is ready for JSON.

    Args:
        quick: few cases at 8 steps instead of many at the model's own.
        counts: how many cases, instead of the above.
        model: the name that a process of its own loads the model by, for memory and time.

    Returns:
        {"tasks": [{"group", "name", "value", "unit", "n", "target", "at_least", "note",
        "reached"}], "settings": …, "seconds": …}
    """
    started = time.monotonic()
    counts = counts or (Counts.quick() if quick else Counts())
    steps = steps or (_QUICK_STEPS if quick else None)
    exam = Exam(
        generator=generator,
        judges=Judges.load(),
        world=judged_world(),
        steps=steps,
        guidance=guidance,
        progress=progress,
    )
    parts: list[tuple[int, Callable[[int], list[Figure]]]] = [
        (counts.settled, lambda n: continuing.given_and_settled(exam, clips=n)),
        (counts.stills, lambda n: continuing.stills(exam, clips=n)),
        (counts.masked, lambda n: continuing.masked(exam, clips=n)),
        (counts.seams, lambda n: continuing.seams(exam, clips=n)),
        (counts.minutes, lambda n: minute.lasting(exam, videos=n)),
        (counts.probes, lambda n: minute.memory_and_time(exam, model, repeats=n)),
        (counts.stories, lambda n: shots.storyboards(exam, each=n)),
        (counts.sizes, lambda n: sizes.native_sizes(exam, clips=n)),
        (counts.characters, lambda n: characters.carried(exam, clips=n)),
    ]
    figures = [figure for count, part in parts if count for figure in part(count)]
    order = ("given", "settled", "seams", "minute", "shots", "sizes", "characters")
    figures.sort(key=lambda figure: order.index(figure.group))
    return {
        "tasks": [figure.to_dict() for figure in figures],
        "settings": {
            "model": model,
            "sha256": generator.model.sha256,
            "quick": quick,
            "steps": steps,
            "guidance": guidance,
        },
        "seconds": round(time.monotonic() - started, 1),
    }
