"""What the frame reviewers find, and what they take wrongly.

    python -m worldreel.safety.measure_frames FOLDER …

    FOLDER              each is a source of photos and clips in which nothing is to be found
    --reviewers LIST    nudity,symbols,faces unless told
    --frames 8          frames looked at of each clip, evenly spread
    --most 1000         files of each source, evenly spread
    --drawn 0           drawings of each symbol in each size to be found before those photos

A file counts as a false alarm of a reviewer if it would stop it: one finding of high confidence, or
middle ones in two frames (of a photo, which is one frame: high). Of each share the 95 % interval of
Wilson (1927) is told. Files are decoded here, without limits: they are to be one's own.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from worldreel.errors import MediaError
from worldreel.safety.measure import Count
from worldreel.safety.reviewers import Confidence, Finding, Reviewer
from worldreel.safety.worker import Use

__all__ = ["main", "stops"]

_CLIPS = {".mp4", ".mov", ".webm", ".avi", ".mkv", ".npy"}
_PHOTOS = {".png", ".jpg", ".jpeg", ".webp"}
_SIDE = 288  # as `ReviewPolicy.side`
SIZES = ((16, 24), (24, 48), (48, 100))
"""Pixels of the drawings, in pictures of 128² pixels."""


def stops(findings: Sequence[Finding]) -> bool:
    """Whether the findings of one reviewer would stop a video."""
    middle = {f.frame for f in findings if f.confidence is Confidence.MIDDLE}
    return len(middle) >= 2 or any(f.confidence is Confidence.HIGH for f in findings)


def _files(folder: Path, most: int) -> list[Path]:
    found = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in _CLIPS | _PHOTOS]
    step = max(1.0, len(found) / most)
    return [found[int(i * step)] for i in range(min(most, len(found)))]


def _frames(path: Path, count: int) -> Tensor | None:
    """Up to `count` frames uint8 [n, H, W, 3] of a file, reduced; None if it is too small."""
    from worldreel.safety.reviewing import reduced
    from worldreel.video.foreign import read_clip

    try:
        if path.suffix == ".npy":
            frames = torch.from_numpy(np.load(path))
        elif path.suffix.lower() in _CLIPS:
            frames = read_clip(path, fps=2.0, seconds=60.0, limit=_SIDE).frames
        else:
            with warnings.catch_warnings(), Image.open(path) as photo:
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                photo.thumbnail((1024, 1024))
                backed = Image.new("RGBA", photo.size, "white")
                backed.alpha_composite(photo.convert("RGBA"))
                frames = torch.from_numpy(np.array(backed.convert("RGB")))[None]
    except (MediaError, OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError):
        return None
    if frames.ndim != 4 or min(frames.shape[1:3]) < 64 or frames.dtype != torch.uint8:
        return None
    picked = torch.linspace(0, len(frames) - 1, min(count, len(frames))).round().long()
    return reduced(frames[picked], _SIDE)


def _photos(folders: Sequence[Path], most: int) -> Iterator[Tensor]:
    for folder in folders:
        for path in _files(folder, most):
            frames = _frames(path, 1)
            if frames is not None:
                yield frames[0]


def found(reviewer: Reviewer, photos: Sequence[Tensor], *, each: int) -> dict[str, list[int]]:
    """How many of `each` drawings of every symbol are found before `photos`, a number a size.

    Drawings, places and spoiling come from seeds that no training uses.
    """
    from worldreel.safety.symbol_scenes import backgrounds, place, spoil
    from worldreel.safety.symbols import SYMBOLS, draw

    counts: dict[str, list[int]] = {}
    for name in SYMBOLS:
        counts[name] = []
        for low, high in SIZES:
            chance = np.random.default_rng([20261123, SYMBOLS.index(name), low])
            behind = backgrounds([photo.numpy() for photo in photos], each, chance).float() / 255
            masks = np.stack([draw(name, chance, side=48) for _ in range(each)])
            sizes = np.exp(chance.uniform(np.log(low), np.log(high), each))
            seen = place(torch.from_numpy(masks), behind, chance, sizes=sizes, jitter=12.0)
            frames = (spoil(seen, chance) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
            hits = {f.frame for f in reviewer.review(frames) if f.confidence is not Confidence.LOW}
            counts[name].append(len(hits))
    return counts


def _table(arguments: argparse.Namespace) -> Iterator[str]:
    reviewers = {name: Use(factory=name).make() for name in arguments.reviewers.split(",")}
    if arguments.drawn and "symbols" in reviewers:
        photos = list(_photos(arguments.folders, 40))
        counts = found(reviewers["symbols"], photos, each=arguments.drawn)
        sizes = ", ".join(f"{low}–{high} px" for low, high in SIZES)
        yield f"found of {arguments.drawn} drawings at {sizes}"
        for name, hits in counts.items():
            yield f"  {name:12}" + "".join(f"{h:6d}" for h in hits)
    total = dict.fromkeys(reviewers, Count())
    for folder in arguments.folders:
        alarms = dict.fromkeys(reviewers, 0)
        seen = 0
        for path in _files(folder, arguments.most):
            frames = _frames(path, arguments.frames)
            if frames is None:
                continue
            seen += 1
            for name, reviewer in reviewers.items():
                findings = reviewer.review(frames.clone())
                if stops(findings):
                    alarms[name] += 1
                    yield f"    {name}: {path.name} {max(f.score for f in findings):.2f}"
        for name, count in alarms.items():
            total[name] += Count(refused=count, total=seen)
        yield f"{folder.name}: {seen} files, false alarms " + _said(alarms, seen)
    for name, all_of in total.items():
        low, high = (100 * bound for bound in all_of.interval)
        told = f"{name}: {all_of.refused} of {all_of.total}, {100 * all_of.share:.2f} %"
        yield f"{told} ({low:.2f} to {high:.2f})"


def _said(alarms: dict[str, int], seen: int) -> str:
    return ", ".join(f"{name} {count}" for name, count in alarms.items()) if seen else "none"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the frame reviewers.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--reviewers", default="nudity,symbols,faces")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--most", type=int, default=1000)
    parser.add_argument("--drawn", type=int, default=0)
    for line in _table(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
