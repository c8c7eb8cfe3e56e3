"""Frame review in figures: what is found, what is taken wrongly, and what it costs.

    python benchmarks/frames.py [--clips FOLDER] [--count 100]

Symbols are drawn, placed and spoiled from seeds that the training does not use. False alarms are
counted on renders of the world and on the clips and photos of --clips: a clip counts as one as soon
as the review would stop it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from worldreel.errors import MediaError
from worldreel.safety.reviewers import Confidence, Reviewer
from worldreel.safety.reviewers.faces import FaceReviewer
from worldreel.safety.reviewers.nudity import NudityReviewer
from worldreel.safety.reviewers.symbols import SymbolReviewer
from worldreel.safety.reviewing import ReviewPolicy
from worldreel.safety.symbol_scenes import backgrounds, invented, place, spoil
from worldreel.safety.symbols import LOOKALIKES, SYMBOLS, draw
from worldreel.video.foreign import read_clip
from worldreel.video.pixels import shown
from worldreel.world.config import WorldConfig
from worldreel.world.render import Renderer
from worldreel.world.scene import sample_scene

SEED = 987654


def world(count: int, *, frames: int) -> Iterator[Tensor]:
    """Renders of scenes that no training has seen, uint8 [frames, 256, 320, 3]."""
    renderer = Renderer(unit=256, side=128)
    for seed in range(SEED, SEED + count):
        scene = sample_scene(seed, config=WorldConfig.full())
        yield shown(
            renderer.render([scene], width=320, height=256, frames=frames, fps=2.0).frames[0]
        )


def clips(folder: Path) -> Iterator[Tensor]:
    """What can be read in a folder, two frames a second."""
    for path in sorted(folder.iterdir()):
        try:
            yield read_clip(path, fps=2.0, seconds=30.0, limit=ReviewPolicy().side).frames
        except MediaError:
            continue


def stops(reviewer: Reviewer, video: Tensor) -> bool:
    """Whether the reviewer alone would stop the video."""
    found = reviewer.review(video)
    sure = {f.frame for f in found if f.confidence is Confidence.HIGH}
    middle = {f.frame for f in found if f.confidence is Confidence.MIDDLE}
    return bool(sure) or len(middle) >= 2


def drawn(
    name: str, behind: Tensor, chance: np.random.Generator, *, sizes: tuple[float, float]
) -> Tensor:
    """Frames uint8 [n, 128, 128, 3] with one drawing each, of so many pixels."""
    count = len(behind)
    masks = torch.from_numpy(np.stack([draw(name, chance, side=48) for _ in range(count)]))
    measures = np.exp(chance.uniform(*np.log(sizes), count))
    seen = spoil(place(masks, behind, chance, sizes=measures, jitter=20.0), chance)
    return (seen * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def symbols(count: int, photos: list[np.ndarray]) -> None:
    """Share of drawings found, by size, and of look-alikes taken for symbols."""
    reviewer, chance = SymbolReviewer(), np.random.default_rng(SEED)
    print(
        f"{'symbol':12} {'16-24 px':>9} {'24-48 px':>9} {'48-100 px':>9}   (of 128; high or middle)"
    )
    for name in (*SYMBOLS, *LOOKALIKES):
        shares = []
        many = count if name in SYMBOLS else max(1, count // 5)
        for sizes in ((16.0, 24.0), (24.0, 48.0), (48.0, 100.0)):
            behind = invented(many // 2 + 1, chance)
            if photos:
                behind = torch.cat([behind, backgrounds(photos, many // 2 + 1, chance)])
            frames = drawn(name, behind[-many:].float() / 255, chance, sizes=sizes)
            found = reviewer.review(frames)
            told = {f.frame for f in found if f.confidence is not Confidence.LOW}
            shares.append(len(told) / len(frames))
        print(f"{name:12} " + " ".join(f"{share:9.1%}" for share in shares), flush=True)


def alarms(name: str, videos: list[Tensor]) -> None:
    """Videos that each reviewer would stop, and its processor time a frame."""
    for reviewer in (NudityReviewer(), SymbolReviewer(), FaceReviewer()):
        began, frames = time.process_time(), sum(len(video) for video in videos)
        stopped = sum(stops(reviewer, video) for video in videos)
        cost = (time.process_time() - began) / max(frames, 1) * 1e3
        print(
            f"{name}: {reviewer.name} would stop {stopped} of {len(videos)} "
            f"({frames} frames, {cost:.0f} ms a frame)",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--count", type=int, default=100)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    real = list(clips(arguments.clips)) if arguments.clips else []
    photos = [frame.numpy() for video in real for frame in video[::10]]
    made = list(world(arguments.count, frames=4))
    alarms("world", made)
    if real:
        alarms("clips", real)
    symbols(arguments.count, photos)


if __name__ == "__main__":
    main()
