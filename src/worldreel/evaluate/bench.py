"""The benchmark: prompts about seen and unseen combinations → videos → judges → shares of right.

    place, camera   every clip
    kind            clips of one actor: the asked kind is the surest of all kinds
    colour          of those, the painted ones: the colour of the eight where the actor is
    motion          of those, the ones that travel: the signed direction against the world, not
                    the screen; standing still is as wrong as the opposite
    binding         clips of two actors: the two surest kinds are the asked ones, each in its
                    own colour

Beside each figure stands what the judge itself reaches on renders of the very scenes that were
asked for, and on the codec's reconstructions of them: the ceiling of that figure.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from worldreel.evaluate.codec import measure_codec
from worldreel.evaluate.judge import Judgement, Judges, view
from worldreel.evaluate.prompts import DIMENSIONS, Question, WordPair, questions, word_pairs
from worldreel.evaluate.world import judged_world
from worldreel.models.model import AnyCodec
from worldreel.request import Request
from worldreel.video import Video
from worldreel.world.render import Renderer
from worldreel.world.scene import Scene

__all__ = ["Makes", "Progress", "evaluate", "marks"]

SECONDS, FPS, FRAMES, SIDE = 2.0, 12.0, 25, 128
_QUICK, _FULL = 100, 200
_QUICK_STEPS = 8
_PAIRS_QUICK, _PAIRS_FULL = 2, 6

Progress = Callable[[str, int, int], None]
"""What is being done, how many are done, of how many."""


class Makes(Protocol):
    """Whatever makes a video of a request; a Generator does."""

    def generate(self, request: Request) -> Video: ...


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Right answers and answers a dimension."""

    right: Counter[str]
    asked: Counter[str]

    def share(self, name: str) -> float | None:
        """Right over asked; None where nothing was asked."""
        return round(self.right[name] / self.asked[name], 4) if self.asked[name] else None


def answer(judgement: Judgement, scene: Scene, dimension: str) -> bool:
    """Whether the clip shows the truth of `scene` in this dimension."""
    first = scene.actors[0]
    if dimension == "place":
        return judgement.place == scene.place
    if dimension == "time":
        return judgement.time == scene.time
    if dimension == "camera":
        return judgement.camera == scene.camera.name
    if dimension == "kind":
        return judgement.kinds[0] == first.kind
    if dimension == "colour":
        return judgement.colour == first.colour
    if dimension == "motion":
        return judgement.motion == first.direction
    assert dimension == "binding", dimension
    asked = {c.kind: c.colour for c in scene.actors}
    shown = set(judgement.kinds[: len(asked)]) == set(asked)
    return shown and all(judgement.colours[k] == c for k, c in asked.items() if c)


def marks(judgements: Sequence[Judgement], asked: Sequence[Question]) -> Marks:
    """Counts right answers over all questions."""
    right, total = Counter[str](), Counter[str]()
    for judgement, question in zip(judgements, asked, strict=True):
        for dimension in question.asks:
            total[dimension] += 1
            right[dimension] += answer(judgement, question.scene, dimension)
    return Marks(right=right, asked=total)


def _nothing(what: str, done: int, total: int) -> None:
    pass


def evaluate(
    generator: Makes,
    *,
    quick: bool,
    steps: int | None = None,
    guidance: float | None = None,
    codec: AnyCodec | None = None,
    model: str = "embedded",
    count: int | None = None,
    with_words: bool = True,
    progress: Progress = _nothing,
) -> dict[str, Any]:
    """Asks, judges and counts; the result is ready for JSON.

    Args:
        generator: makes the videos.
        quick: 100 questions of each split at 8 steps instead of 200 at the model's own.
        codec: measures the judges on its reconstructions too (else null).
        count: questions of each split, instead of the above.
        with_words: also ask with held-out words.

    Returns:
        {"dimensions": {name: {"seen", "unseen", "n", "judge_on_renders",
        "judge_on_reconstructions"}}, "words": …, "codec": …, "settings": …, "seconds": …}; "n" is
        the number of clips behind both shares together, shares are null where nothing was asked.
    """
    started = time.monotonic()
    judges, world = Judges.load(), judged_world()
    count = count or (_QUICK if quick else _FULL)
    steps = steps or (_QUICK_STEPS if quick else None)
    asked = {split: questions(world, split=split, count=count) for split in ("seen", "unseen")}
    truth, again = _ceilings(judges, asked["seen"] + asked["unseen"], codec, progress)

    def make(question: Question) -> Tensor:
        request = Request(
            prompt=question.prompt,
            seconds=SECONDS,
            width=SIDE,
            height=SIDE,
            steps=steps,
            guidance=guidance,
            seed=question.seed,
            model=model,
        )
        return view(generator.generate(request).frames)

    seen, unseen = (
        marks(_judged(judges, make, some, f"{split} combinations", progress), some)
        for split, some in asked.items()
    )
    result: dict[str, Any] = {"dimensions": _dimensions(seen, unseen, truth, again)}
    if with_words:
        pairs = word_pairs(world, each=_PAIRS_QUICK if quick else _PAIRS_FULL)
        result["words"] = _words(judges, make, pairs, progress)
    if codec is not None:
        result["codec"] = measure_codec(codec, clips=12 if quick else 40, progress=progress)
    result["settings"] = {
        "model": model,
        "sha256": getattr(getattr(generator, "model", None), "sha256", None),
        "quick": quick,
        "clips": count,
        "seconds": SECONDS,
        "size": [SIDE, SIDE],
        "steps": steps,
        "guidance": guidance,
    }
    result["seconds"] = round(time.monotonic() - started, 1)
    return result


def _dimensions(
    seen: Marks, unseen: Marks, truth: Marks, again: Marks | None
) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "seen": seen.share(name),
            "unseen": unseen.share(name),
            "n": seen.asked[name] + unseen.asked[name],
            "judge_on_renders": truth.share(name),
            "judge_on_reconstructions": again.share(name) if again else None,
        }
        for name in DIMENSIONS
    }


def _judged(
    judges: Judges,
    make: Callable[[Question], Tensor],
    asked: Sequence[Question],
    what: str,
    progress: Progress,
) -> list[Judgement]:
    found: list[Judgement] = []
    for index, question in enumerate(asked):
        progress(what, index, len(asked))
        found += judges.judge(make(question))
    progress(what, len(asked), len(asked))
    return found


def clips_of(scenes: Sequence[Scene], *, batch: int = 8) -> Iterator[Tensor]:
    """Renders of scenes as a model would make them: [B, 3, 25, 128, 128] in [-1, 1]."""
    renderer = Renderer(unit=SIDE, side=SIDE // 2, variants=3)
    for start in range(0, len(scenes), batch):
        some = scenes[start : start + batch]
        yield renderer.render(some, width=SIDE, height=SIDE, frames=FRAMES, fps=FPS).frames


@torch.no_grad()
def _ceilings(
    judges: Judges, asked: Sequence[Question], codec: AnyCodec | None, progress: Progress
) -> tuple[Marks, Marks | None]:
    """What the judges reach on renders, and on reconstructions if there is a codec."""
    on_renders: list[Judgement] = []
    on_reconstructions: list[Judgement] = []
    for frames in clips_of([q.scene for q in asked]):
        progress("judging the judges", len(on_renders), len(asked))
        on_renders += judges.judge(view(frames))
        if codec is not None:
            decoded, _ = codec.decode(codec.encode(frames)[0])
            on_reconstructions += judges.judge(view(decoded))
    again = marks(on_reconstructions, asked) if codec is not None else None
    return marks(on_renders, asked), again


def _words(
    judges: Judges,
    make: Callable[[Question], Tensor],
    pairs: Sequence[WordPair],
    progress: Progress,
) -> dict[str, Any]:
    """Accuracy with seen words and with their held-out synonyms, same scenes, same noise."""
    by_word: dict[str, list[list[bool]]] = {}
    for index, pair in enumerate(pairs):
        progress("held-out words", 2 * index, 2 * len(pairs))
        both = [
            answer(judges.judge(make(q))[0], q.scene, pair.asks) for q in (pair.seen, pair.held_out)
        ]
        by_word.setdefault(pair.word, []).append(both)
    progress("held-out words", 2 * len(pairs), 2 * len(pairs))
    answers = [both for some in by_word.values() for both in some]
    known, unknown = (sum(both[i] for both in answers) for i in (0, 1))
    return {
        "seen_words": round(known / len(answers), 4) if answers else None,
        "held_out_words": round(unknown / len(answers), 4) if answers else None,
        "ratio": round(unknown / known, 4) if known else None,
        "n": len(answers),
        "by_word": {
            word: {"seen": sum(b[0] for b in some), "held_out": sum(b[1] for b in some),
                   "n": len(some)}
            for word, some in sorted(by_word.items())
        },
    }  # fmt: skip
