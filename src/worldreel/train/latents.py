"""Cached latents: scenes rendered and encoded once, then drawn from several times.

A shard is one safetensors file of clips of one shape: latents (fp16, normalised), the share of
each latent position that actors cover, and the word-piece ids of several captions a clip and
shot. A shape with cuts holds stories (`world/story.py`): every shot is rendered on its own and
the frames are encoded as one clip, as the codec meets a storyboard.
Shards are written whole (beside, then renamed), so making them can be stopped and resumed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from worldreel.codec.model import Codec
from worldreel.text.tokens import Tokens
from worldreel.train.optimizer import half_precision
from worldreel.world.config import WorldConfig
from worldreel.world.render import Renderer, Rendering
from worldreel.world.scene import sample_scene
from worldreel.world.story import Story, sample_story

SEEDS_A_SHAPE = 100_000_000
"""Each shape has scenes of its own, whatever the counts: a plan can be enlarged later."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Clips of one size: frames (1 + 4n), height and width in pixels; `count` of them.

    A cut `c` is the latent frame that begins a new shot, whose first frame is 4(c - 1) + 1.
    """

    frames: int
    height: int
    width: int
    count: int
    cuts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        bounds = (0, *self.cuts, 1 + self.frames // 4)
        assert all(a < b for a, b in pairwise(bounds)), f"cuts {self.cuts} of {self.frames} frames"

    @property
    def name(self) -> str:
        size = f"{self.frames}x{self.height}x{self.width}"
        return "+".join((size, *map(str, self.cuts)))

    @property
    def shots(self) -> tuple[int, ...]:
        """Frames of each shot."""
        firsts = (0, *(4 * (cut - 1) + 1 for cut in self.cuts), self.frames)
        return tuple(end - begin for begin, end in pairwise(firsts))


@dataclass(frozen=True, kw_only=True)
class LatentsPlan:
    """What is rendered and encoded for the transformer."""

    world: WorldConfig
    shapes: tuple[Shape, ...]
    fps: float = 12.0
    shard: int = 512
    batch: int = 8
    phrasings: int = 4
    """Draws of the three captions a scene."""
    length: int = 48
    unit: int = 128
    side: int = 64
    variants: int = 3


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Clips of one shape in memory: latents `[n, C, t, h, w]` fp16, coverage `[n, t, h, w]`
    fp16, ids `[n, K, S, L]` int32 (0 is padding): K captions of each of S shots."""

    latents: Tensor
    coverage: Tensor
    ids: Tensor
    cuts: tuple[int, ...] = ()
    """Latent frames at which a new shot begins."""

    def __len__(self) -> int:
        return self.latents.shape[0]


def make_latents(
    codec: Codec,
    plan: LatentsPlan,
    folder: Path,
    *,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> None:
    """Writes the shards that are not there yet; scenes are numbered, so it can be resumed.

    With `workers` scenes and captions are drawn by that many processes, ahead of the renderer: a
    GPU renders faster than one core can think of scenes. What is written is the same.
    """
    renderer = Renderer(unit=plan.unit, side=plan.side, variants=plan.variants, device=device)
    with _drafter(plan, workers) as draft:
        for number, shape in enumerate(plan.shapes, 1):
            first = number * SEEDS_A_SHAPE
            for begin in range(0, shape.count, plan.shard):
                size = min(plan.shard, shape.count - begin)
                path = folder / shape.name / f"{begin:07d}.safetensors"
                if not path.exists():
                    seeds = range(first + begin, first + begin + size)
                    parts = [seeds[i : i + plan.batch] for i in range(0, size, plan.batch)]
                    drafts = draft(len(shape.shots), parts)
                    _write(path, _shard(codec, plan, shape, drafts, renderer, device))
                progress(shape.name, begin + size, shape.count)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Stories (of one shot each, as a rule) and their captions' word-piece ids
    `[B, K, S, L]`, not yet rendered."""

    stories: list[Story]
    ids: Tensor


Drafter = Callable[[int, list[range]], Iterator[Draft]]
"""From shots a clip and ranges of seeds."""


@contextmanager
def _drafter(plan: LatentsPlan, workers: int) -> Iterator[Drafter]:
    """Turns ranges of seeds into drafts, in order; in other processes if there are workers."""
    if workers < 1:
        tokens = Tokens()
        yield lambda shots, parts: (_drafted(plan, tokens, shots, seeds) for seeds in parts)
        return
    # Spawned, not forked: a fork would inherit torch's threads and a GPU's context half-alive.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(plan,)) as processes:
        yield lambda shots, parts: processes.map(partial(_drafted_there, shots), parts)


_there: tuple[LatentsPlan, Tokens] | None = None


def _start(plan: LatentsPlan) -> None:
    global _there
    torch.set_num_threads(1)
    _there = (plan, Tokens())


def _drafted_there(shots: int, seeds: range) -> Draft:
    assert _there is not None
    return _drafted(*_there, shots, seeds)


def _drafted(plan: LatentsPlan, tokens: Tokens, shots: int, seeds: range) -> Draft:
    if shots > 1:
        stories = [sample_story(seed, config=plan.world, shots=shots) for seed in seeds]
    else:
        scenes = [sample_scene(seed, config=plan.world, split="train") for seed in seeds]
        stories = [Story(seed=scene.seed, scenes=(scene,)) for scene in scenes]
    return Draft(stories=stories, ids=captions(stories, plan, tokens))


def _shard(
    codec: Codec,
    plan: LatentsPlan,
    shape: Shape,
    drafts: Iterator[Draft],
    renderer: Renderer,
    device: str,
) -> dict[str, Tensor]:
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for draft in drafts:
        rendering = _rendered(plan, shape, draft.stories, renderer)
        latents, coverage = encode(codec, rendering, device)
        parts.append((latents, coverage, draft.ids))
    latents, coverage, ids = (torch.cat(p) for p in zip(*parts, strict=True))
    return {"latents": latents, "coverage": coverage, "ids": ids}


def _rendered(
    plan: LatentsPlan, shape: Shape, stories: list[Story], renderer: Renderer
) -> Rendering:
    """The shots of all stories, one after another in time."""
    # A still may show any moment of its scene, a clip begins at its beginning, a shot near it.
    random = np.random.default_rng(stories[0].seed)
    latest = 3.0 if shape.frames == 1 else 1.0 if shape.cuts else 0.0
    shots = [
        renderer.render(
            [story.scenes[index] for story in stories],
            width=shape.width,
            height=shape.height,
            frames=frames,
            fps=plan.fps,
            start=float(random.uniform(0, latest)),
        )
        for index, frames in enumerate(shape.shots)
    ]
    return Rendering(
        frames=torch.cat([shot.frames for shot in shots], 2),
        coverage=torch.cat([shot.coverage for shot in shots], 1),
    )


@torch.no_grad()
def encode(codec: Codec, rendering: Rendering, device: str) -> tuple[Tensor, Tensor]:
    """Normalised latents, and coverage averaged to their grid; both fp16 on the CPU."""
    with half_precision(torch.device(device)):
        latents, _ = codec.encode(rendering.frames)
    spatial = codec.config.spatial
    coverage = rendering.coverage
    still = coverage[:, :1].expand(-1, codec.config.temporal - 1, -1, -1)
    pooled = F.avg_pool3d(
        torch.cat([still, coverage], 1)[:, None], (codec.config.temporal, spatial, spatial)
    )
    return latents.half().cpu(), pooled[:, 0].half().cpu()


def captions(stories: list[Story], plan: LatentsPlan, tokens: Tokens) -> Tensor:
    """Word-piece ids of `phrasings` draws of the three captions of S shots:
    `[B, 3·phrasings, S, L]`; the shots of a draw are worded together, and equally long."""
    texts: list[str] = []
    for story in stories:
        for draw in range(plan.phrasings):
            rng = np.random.default_rng((story.seed, draw))
            single = len(story.scenes) == 1
            told = (story.scenes[0].captions(rng),) if single else story.captions(rng)
            for length in ("prompt", "sentence", "dense"):
                texts += [getattr(shot, length) for shot in told]
    ids, _ = tokens.tokenize(texts, length=plan.length)
    shape = (len(stories), 3 * plan.phrasings, len(stories[0].scenes))
    by_story: Tensor = torch.from_numpy(ids).int().unflatten(0, shape)
    return by_story


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")
    save_file({k: v.contiguous() for k, v in tensors.items()}, str(beside))
    os.replace(beside, path)


def pools(folder: Path) -> dict[str, Pool]:
    """All shards under `folder`, by the name of their shape."""
    found: dict[str, Pool] = {}
    for place in sorted(p for p in folder.iterdir() if p.is_dir()):
        shards = [load_file(str(path)) for path in sorted(place.glob("*.safetensors"))]
        if shards:
            ids = [shard["ids"] for shard in shards]
            found[place.name] = Pool(
                latents=torch.cat([s["latents"] for s in shards]),
                coverage=torch.cat([s["coverage"] for s in shards]),
                # Older shards know no shots: ids [n, K, L].
                ids=torch.cat([i if i.ndim == 4 else i[:, :, None] for i in ids]),
                cuts=tuple(map(int, place.name.split("+")[1:])),
            )
    return found


def draws(pool: Pool, batch: int, *, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless shuffled batches: latents (fp32), coverage, and one caption's ids `[B, S, L]`.

    Stills are drawn with their two shorter captions only: there the words are more work than
    the patches, and the dense caption's last sentences are about motion.
    """
    told = torch.arange(pool.ids.shape[1])
    if pool.latents.shape[2] == 1:
        told = told[told % 3 != 2]
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(pool), generator=generator)
        for begin in range(0, len(order) - batch + 1, batch):
            some = order[begin : begin + batch]
            which = told[torch.randint(len(told), (batch,), generator=generator)]
            yield pool.latents[some].float(), pool.coverage[some].float(), pool.ids[some, which]
