"""Cached latents: scenes rendered and encoded once, then drawn from several times.

A shard is one safetensors file of clips of one shape: latents (fp16, normalised), the share of
each latent position that actors cover, and the word-piece ids of several captions a clip.
Shards are written whole (beside, then renamed), so making them can be stopped and resumed.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
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
from worldreel.world.scene import Scene, sample_scene

SEEDS_A_SHAPE = 100_000_000
"""Each shape has scenes of its own, whatever the counts: a plan can be enlarged later."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Clips of one size: frames (1 + 4n), height and width in pixels; `count` of them."""

    frames: int
    height: int
    width: int
    count: int

    @property
    def name(self) -> str:
        return f"{self.frames}x{self.height}x{self.width}"


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
    fp16, ids `[n, K, L]` int32 (0 is padding)."""

    latents: Tensor
    coverage: Tensor
    ids: Tensor

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
                    drafts = draft(parts)
                    _write(path, _shard(codec, plan, shape, drafts, renderer, device))
                progress(shape.name, begin + size, shape.count)


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Scenes and their captions' word-piece ids, not yet rendered."""

    scenes: list[Scene]
    ids: Tensor


Drafter = Callable[[list[range]], Iterator[Draft]]


@contextmanager
def _drafter(plan: LatentsPlan, workers: int) -> Iterator[Drafter]:
    """Turns ranges of seeds into drafts, in order; in other processes if there are workers."""
    if workers < 1:
        tokens = Tokens()
        yield lambda parts: (_drafted(plan, tokens, seeds) for seeds in parts)
        return
    # Spawned, not forked: a fork would inherit torch's threads and a GPU's context half-alive.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_start, initargs=(plan,)) as processes:
        yield lambda parts: processes.map(_drafted_there, parts)


_there: tuple[LatentsPlan, Tokens] | None = None


def _start(plan: LatentsPlan) -> None:
    global _there
    torch.set_num_threads(1)
    _there = (plan, Tokens())


def _drafted_there(seeds: range) -> Draft:
    assert _there is not None
    return _drafted(*_there, seeds)


def _drafted(plan: LatentsPlan, tokens: Tokens, seeds: range) -> Draft:
    scenes = [sample_scene(seed, config=plan.world, split="train") for seed in seeds]
    return Draft(scenes=scenes, ids=captions(scenes, plan, tokens))


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
        # A still may show any moment of its scene, a clip begins at its beginning.
        random = np.random.default_rng(draft.scenes[0].seed)
        rendering = renderer.render(
            draft.scenes,
            width=shape.width,
            height=shape.height,
            frames=shape.frames,
            fps=plan.fps,
            start=float(random.uniform(0, 3)) if shape.frames == 1 else 0.0,
        )
        latents, coverage = encode(codec, rendering, device)
        parts.append((latents, coverage, draft.ids))
    latents, coverage, ids = (torch.cat(p) for p in zip(*parts, strict=True))
    return {"latents": latents, "coverage": coverage, "ids": ids}


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


def captions(scenes: list[Scene], plan: LatentsPlan, tokens: Tokens) -> Tensor:
    """Word-piece ids of `phrasings` draws of the three captions: `[B, 3·phrasings, L]`."""
    texts: list[str] = []
    for scene in scenes:
        for draw in range(plan.phrasings):
            told = scene.captions(np.random.default_rng((scene.seed, draw)))
            texts += [told.prompt, told.sentence, told.dense]
    ids, _ = tokens.tokenize(texts, length=plan.length)
    by_scene: Tensor = torch.from_numpy(ids).int().unflatten(0, (len(scenes), -1))
    return by_scene


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
            found[place.name] = Pool(
                latents=torch.cat([s["latents"] for s in shards]),
                coverage=torch.cat([s["coverage"] for s in shards]),
                ids=torch.cat([s["ids"] for s in shards]),
            )
    return found


def draws(pool: Pool, batch: int, *, seed: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless shuffled batches: latents (fp32), coverage, and one caption's ids a clip.

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
