"""Training the judges: `python -m worldreel.train.judge [--minutes M] [--codec FILE]`.

Every cell with an actor is a lesson (dense supervision), so minutes on one core suffice. Drawing a
scene takes longer than learning from it, so Look learns from a scene many times, otherwise
coloured, worn and mirrored each time; with a codec, a third of its steps are on reconstructions.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from worldreel.codec.model import Codec
from worldreel.evaluate.judge import (
    CHECKSUM,
    WEIGHTS,
    Judges,
    Vocabulary,
    opened,
    packed,
    presences,
)
from worldreel.evaluate.lessons import (
    FIRST_SEED,
    Lesson,
    backwards,
    blobbed,
    hued,
    joined,
    lessons,
    mirrored,
    reconstructions,
    seen,
    some_of,
    stills,
    vocabulary,
    weathered,
)
from worldreel.evaluate.world import judged_world
from worldreel.train import plans

NOBODY = 0.3
"""Weight of the many cells without an actor."""
PRESENCE = 0.5
"""Weight of what is asked of whole frames beside what is asked of each cell."""
CELLS = 3
"""Cells of an actor that must be plain for its frame to be asked."""
HUED, BLOBS = 0.3, 0.1
"""Shares of clips with turned hues and with shapeless actors."""
LOOKED_AT = 2
"""Frames of a clip that Look learns from in one step."""


def look_losses(judges: Judges, lesson: Lesson) -> dict[str, Tensor]:
    """Mean cross-entropies of what Look sees in two frames a clip."""
    rows = torch.arange(len(lesson.clips))[:, None]
    picked = torch.rand(lesson.clips.shape[:2]).argsort(1)[:, :LOOKED_AT]
    two = {n: getattr(lesson, n)[rows, picked] for n in ("clips", "kind", "colour")}
    lesson = seen(replace(lesson, **two))
    lesson = blobbed(hued(lesson, HUED), judges.vocabulary, BLOBS)
    frames, truth = weathered(lesson.clips).flatten(0, 1), lesson.kind.flatten(0, 1)
    with torch.autocast("cpu", torch.bfloat16):
        kind, colour, place, when = (x.float() for x in judges.look(frames))
    crowd = torch.ones(kind.shape[1])
    crowd[0] = NOBODY
    return {
        "kind": _entropy(kind, truth, crowd),
        "presence": PRESENCE * _presence_loss(kind, truth),
        "colour": _entropy(colour, lesson.colour.flatten(0, 1)),
        "place": _entropy(place, lesson.place.repeat_interleave(LOOKED_AT)),
        "time": _entropy(when, lesson.time.repeat_interleave(LOOKED_AT)),
    }


def _presence_loss(kind: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of the kinds' shares in what is present [N, 1+K, 16, 16] against the kinds
    that are there: cells alone do not learn to agree on one kind for one actor."""
    there = F.one_hot(truth.clamp_min(0).flatten(1), kind.shape[1]).sum(1)[:, 1:] >= CELLS
    found = presences(kind).clamp_min(1e-4)
    share = (found / found.sum(1, keepdim=True)).log()
    asked = there.any(1)
    if not asked.any():
        return kind.sum() * 0
    return -(share * there).sum(1)[asked].div(there.sum(1)[asked]).mean()


def motion_losses(judges: Judges, lesson: Lesson) -> dict[str, Tensor]:
    """Mean cross-entropies of what Motion sees in whole clips."""
    direction, camera = judges.motion(weathered(lesson.clips))
    ways = torch.ones(direction.shape[1])
    ways[0] = NOBODY
    return {
        "direction": _entropy(direction, lesson.direction, ways),
        "camera": _entropy(camera, lesson.camera),
    }


def _entropy(logits: Tensor, truth: Tensor, weight: Tensor | None = None) -> Tensor:
    if not (truth >= 0).any():
        return logits.sum() * 0
    return F.cross_entropy(logits, truth, weight, ignore_index=-1, label_smoothing=0.02)


def train(
    judges: Judges,
    looks: Iterator[Lesson],
    clips: Iterator[Lesson],
    *,
    minutes: float,
    rate: float = 3e-3,
    every: int = 1,
    report: Callable[[str], None] = lambda _: None,
    keep: Callable[[], None] = lambda: None,
) -> None:
    """Trains `judges` in place for `minutes` of processor time, so that a busy machine makes it
    longer, not worse; the rate falls to zero at the end. Motion learns in one of `every` steps, or
    never if that is 0."""
    optimizer = torch.optim.AdamW(judges.parameters(), lr=rate, weight_decay=0.02)
    started, step, recent = time.process_time(), 0, dict[str, float]()
    judges.train()
    while (share := (time.process_time() - started) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 40) * (1 - share) ** 0.8
        parts = look_losses(judges, _turned(next(looks), judges.vocabulary))
        if every and step % every == 0:
            parts |= motion_losses(judges, _turned(next(clips), judges.vocabulary))
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()
        nn.utils.clip_grad_norm_(judges.parameters(), 5.0)
        optimizer.step()
        step += 1
        for name, value in parts.items():
            now = float(value.detach())
            recent[name] = 0.95 * recent.get(name, now) + 0.05 * now
        if step % 50 == 0:
            said = " ".join(f"{k} {v:.3f}" for k, v in recent.items())
            report(f"{step} {share:.2f} {said}")
            keep()
    judges.eval()


def _turned(lesson: Lesson, words: Vocabulary) -> Lesson:
    """Mirrored or not, backwards or not."""
    if torch.rand(()) < 0.5:
        lesson = mirrored(lesson, words)
    return backwards(lesson, words) if torch.rand(()) < 0.5 else lesson


def save(judges: Judges, folder: Path) -> None:
    """Writes judges.safetensors (8-bit) and its checksum."""
    path = folder / WEIGHTS
    blob = to_bytes(packed(judges.state_dict()), {"vocabulary": judges.vocabulary.to_json()})
    path.write_bytes(blob)
    digest = hashlib.sha256(blob).hexdigest()
    (folder / CHECKSUM).write_text(f"{digest}  {WEIGHTS}\n")


def replayed(
    fresh: Iterator[Lesson], kept: Lesson | None, *, batch: int, uses: int, size: int
) -> Iterator[Lesson]:
    """Batches of four of the last `size` fresh lessons, `uses` batches for a fresh lesson, and
    every third of what was `kept`."""
    recent: deque[Lesson] = deque(maxlen=size)
    turn = 0
    while True:
        if turn % uses == 0:
            recent.append(next(fresh))
        if kept is not None and turn % 3 == 2:
            yield some_of(kept, batch)
        else:
            parts = [recent[int(i)] for i in torch.randint(len(recent), (4,))]
            yield joined([some_of(part, batch // 4) for part in parts])
        turn += 1


def main() -> None:
    """Trains, or goes on from the weights in the folder, and writes them there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=12, help="of processor time")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "assets")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument(
        "--every", type=int, default=1, help="Motion learns every so many steps; 0: never"
    )
    parser.add_argument("--start", type=int, default=FIRST_SEED)
    parser.add_argument("--again", action="store_true", help="go on from the weights there")
    parser.add_argument("--codec", type=Path, help="weights of the plan `cpu`'s codec")
    parser.add_argument("--clips", type=int, default=960, help="reconstructions to learn from")
    parser.add_argument("--uses", type=int, default=6, help="batches from each fresh one")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.start)
    world = judged_world()
    judges = Judges(vocabulary(world))
    if arguments.again:
        blob = (arguments.folder / WEIGHTS).read_bytes()
        judges = opened(blob).requires_grad_(True)
    kept = None
    if arguments.codec is not None:
        codec = Codec(plans.cpu_codec().config).eval()
        codec.load_state_dict(load_file(str(arguments.codec)))
        start = arguments.start + 5_000_000
        kept = joined(list(reconstructions(codec, world, count=arguments.clips, start=start)))
        _say(f"{len(kept.clips)} reconstructions")
    clips = lessons(world, batch=arguments.batch, start=arguments.start)
    looks = stills(world, batch=arguments.batch, start=arguments.start + 2_000_000)
    train(
        judges,
        replayed(looks, kept, batch=2 * arguments.batch, uses=arguments.uses, size=400),
        clips,
        minutes=arguments.minutes,
        rate=arguments.rate,
        every=arguments.every,
        report=_say,
        keep=lambda: save(judges, arguments.folder),
    )
    save(judges, arguments.folder)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
