"""Training the judges: `python -m worldreel.evaluate.train_judge [--minutes M] [--codec FILE]`.

Fresh renders without end; with a codec, half of the steps are on its reconstructions. Every cell
with an actor is a lesson (dense supervision), so minutes on one core suffice.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from worldreel.codec.model import Codec, CodecConfig
from worldreel.evaluate.judge import CHECKSUM, WEIGHTS, Judges, Vocabulary, opened, packed
from worldreel.evaluate.lessons import (
    FIRST_SEED,
    Lesson,
    backwards,
    joined,
    lessons,
    mirrored,
    reconstructions,
    some_of,
    stills,
    vocabulary,
    weathered,
)
from worldreel.evaluate.world import judged_world

NOBODY = 0.3
"""Weight of the many cells without an actor."""
LOOKED_AT = 2
"""Frames of a clip that Look learns from in one step."""


def look_losses(judges: Judges, lesson: Lesson) -> dict[str, Tensor]:
    """Mean cross-entropies of what Look sees in two frames a clip."""
    clips, rows = lesson.clips, torch.arange(len(lesson.clips))[:, None]
    picked = torch.rand(clips.shape[:2]).argsort(1)[:, :LOOKED_AT]
    frames = weathered(clips[rows, picked]).flatten(0, 1)
    kind, colour, place, when = judges.look(frames)
    crowd = torch.ones(kind.shape[1])
    crowd[0] = NOBODY
    return {
        "kind": _entropy(kind, lesson.kind[rows, picked].flatten(0, 1), crowd),
        "colour": _entropy(colour, lesson.colour[rows, picked].flatten(0, 1)),
        "place": _entropy(place, lesson.place.repeat_interleave(LOOKED_AT)),
        "time": _entropy(when, lesson.time.repeat_interleave(LOOKED_AT)),
    }


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
    longer, not worse; the rate falls to zero at the end. Motion learns in one of `every` steps."""
    optimizer = torch.optim.AdamW(judges.parameters(), lr=rate, weight_decay=0.02)
    started, step, recent = time.process_time(), 0, dict[str, float]()
    judges.train()
    while (share := (time.process_time() - started) / (60 * minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 40) * (1 - share) ** 0.8
        parts = look_losses(judges, _turned(next(looks), judges.vocabulary))
        if step % every == 0:
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


def mixed(fresh: Iterator[Lesson], kept: Lesson | None, batch: int) -> Iterator[Lesson]:
    """Fresh renders, and every other time some of what was `kept`."""
    while True:
        yield next(fresh)
        if kept is not None:
            yield some_of(kept, batch)


def main() -> None:
    """Trains, or goes on from the weights in the folder, and writes them there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=12, help="of processor time")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "assets")
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--every", type=int, default=1, help="Motion learns every so many steps")
    parser.add_argument("--start", type=int, default=FIRST_SEED)
    parser.add_argument("--again", action="store_true", help="go on from the weights there")
    parser.add_argument("--codec", type=Path, help="its weights (safetensors)")
    parser.add_argument(
        "--codec-config", default='{"scale": 2, "deep": 256, "decoder_depth": 5}', help="JSON"
    )
    parser.add_argument("--clips", type=int, default=1000, help="reconstructions to learn from")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.start)
    world = judged_world()
    judges = Judges(vocabulary(world))
    if arguments.again:
        blob = (arguments.folder / WEIGHTS).read_bytes()
        judges = opened(blob).requires_grad_(True)
    kept = None
    if arguments.codec is not None:
        codec = Codec(CodecConfig(**json.loads(arguments.codec_config)))
        codec.load_state_dict(load_file(str(arguments.codec)))
        start = arguments.start + 5_000_000
        kept = joined(list(reconstructions(codec, world, count=arguments.clips, start=start)))
        _say(f"{len(kept.clips)} reconstructions")
    clips = lessons(world, batch=arguments.batch, start=arguments.start)
    looks = stills(world, batch=2 * arguments.batch, start=arguments.start + 2_000_000)
    train(
        judges,
        mixed(looks, kept, 2 * arguments.batch),
        mixed(clips, kept, arguments.batch),
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
