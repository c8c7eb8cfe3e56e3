"""Training the codec on fresh renders of the world.

    loss = |decoded − frame|, moving actors weighted, + the same for differences of neighbouring
           pixels (edges) and frames (flicker) + a weak penalty on the latents' size
           + how different the frames look (train/perceptual.py), where the plan asks for it

Once a transformer is trained on the latents, the encoder stays as it is for good, but the decoder
may still improve: a plan with `decoder_only` starts from a finished codec, leaves its encoder and
the latents' statistics bit by bit as they are, and sharpens what is painted from them.

The latents get a fixed amount of noise before they are decoded (see codec/model.py). Frames are
rendered for each step: the renderer outruns the codec, so no clip is ever seen twice. (A decoder
alone is trained in half the time on clips it has seen a few times.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from worldreel.codec.model import Codec, CodecConfig
from worldreel.errors import WeightsError, message
from worldreel.train import checkpoint
from worldreel.train.clock import Clock
from worldreel.train.optimizer import Average, Optimizers, half_precision, psnr, rate
from worldreel.train.perceptual import Perceptual, pretrained
from worldreel.world.config import WorldConfig
from worldreel.world.render import Renderer, Rendering
from worldreel.world.scene import sample_scene


@dataclass(frozen=True, kw_only=True)
class CodecPlan:
    """How a codec is trained."""

    config: CodecConfig
    world: WorldConfig
    minutes: float
    batch: int = 6
    clips: tuple[tuple[int, int, int], ...] = ((9, 128, 128),)
    """Frames, height and width of the batches, drawn in turn."""
    learning_rate: float = 2e-3
    muon: bool = True
    latent_noise: float = 0.15
    latent_penalty: float = 1e-3
    actor_weight: float = 2.0
    unit: int = 128
    side: int = 64
    variants: int = 6
    others: WorldConfig | None = None
    """A second world, for every other batch: a codec must also hold what is never generated."""
    cuts: float = 0.2
    """Share of batches in which the picture changes in mid-clip, as where two shots meet."""
    perceptual: float = 0.0
    """Weight of how different the frames look; above 0 it needs the extra `train`."""
    looked_at: int = 8
    """Frames of a batch that are compared so."""
    decoder_only: bool = False
    """Start from a finished codec and train its decoder alone."""
    repeats: int = 1
    """How often a batch is trained on. More than once is for `decoder_only`: what it decodes is
    then rendered and encoded once, which is half of a step's work."""
    kept: int = 32
    """Batches in memory, of which one is drawn again when it is not time for a fresh one."""


@dataclass(frozen=True, kw_only=True)
class Report:
    """One line of a run's log."""

    step: int
    progress: float
    loss: float
    psnr: float
    perceptual: float = 0.0


def batches(plan: CodecPlan, device: str, *, start: int = 0) -> Iterator[Rendering]:
    """Endless fresh renders of training scenes."""
    renderer = Renderer(unit=plan.unit, side=plan.side, variants=plan.variants, device=device)
    step = start
    while True:
        frames, height, width = plan.clips[step % len(plan.clips)]
        seeds = range(step * plan.batch, (step + 1) * plan.batch)
        world = plan.others if plan.others is not None and step % 2 else plan.world
        scenes = [sample_scene(seed, config=world, split="train") for seed in seeds]
        batch = renderer.render(scenes, width=width, height=height, frames=frames, fps=12.0)
        yield _cut(batch) if np.random.default_rng(step).uniform() < plan.cuts else batch
        step += 1


def _cut(batch: Rendering) -> Rendering:
    """Each clip goes on with its neighbour's pictures, after its first group of four frames."""

    def joined(x: Tensor, axis: int) -> Tensor:
        before, after = x.split([5, x.shape[axis] - 5], axis)
        return torch.cat([before, after.roll(1, 0)], axis)

    if batch.frames.shape[2] <= 5:
        return batch
    return replace(batch, frames=joined(batch.frames, 2), coverage=joined(batch.coverage, 1))


def reconstruction_loss(decoded: Tensor, batch: Rendering, actor_weight: float) -> Tensor:
    """Weighted absolute error of pixels and of their differences along rows, columns and time.

    Without the last, each group of frames is right on the average and flickers against the next:
    frames differed 1.6 times as much where groups meet as within them (docs/log.md).
    """
    error = (decoded.float() - batch.frames).abs()
    weight = 1 + actor_weight * batch.coverage[:, None]
    pixels = (error * weight).mean() / weight.mean()
    difference = decoded.float() - batch.frames
    edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    flicker = difference.diff(dim=2).abs().mean() if difference.shape[2] > 1 else 0.0
    return pixels + 0.25 * edges + 0.5 * flicker


def train_codec(
    plan: CodecPlan,
    folder: Path,
    *,
    device: str = "cpu",
    start: Mapping[str, Tensor] | None = None,
    report: Callable[[Report], None] = lambda _: None,
) -> Codec:
    """Trains, or goes on from the checkpoint in `folder`; returns the averaged weights.

    A new run begins from the weights `start` of another one, if given (see `checkpoint.grow`).
    With `plan.decoder_only` they are needed, and `encode` is the same function afterwards.

    Raises:
        WeightsError: The weights are not those of a codec of this plan, when they must be; or
            those of the network by which pictures are compared are missing.
    """
    torch.manual_seed(0)
    look = Perceptual(pretrained(), frames=plan.looked_at).to(device) if plan.perceptual else None
    codec, parts = _begin(plan, start)
    codec.to(device)
    optimizers = Optimizers(parts, learning_rate=plan.learning_rate, muon=plan.muon)
    average = Average(codec, longest=400)
    step, spent = 0, 0.0
    file = folder / ("decoder.pt" if plan.decoder_only else "codec.pt")
    state = checkpoint.load(file)
    if state is not None:
        codec.load_state_dict(state["codec"])
        optimizers.load_state_dict(state["optimizers"])
        average.weights = {k: v.to(device) for k, v in state["average"].items()}
        step, spent = state["step"], state["spent"]
    clock, saved = Clock(plan.minutes, spent=spent), spent
    source = _encoded(codec, plan, batches(plan, device, start=step))

    def save() -> None:
        checkpoint.save(file, _state(codec, optimizers, average, step, clock.spent))

    try:
        while clock.progress < 1:
            line = _step(codec, plan, *next(source), optimizers, look, (step, clock.progress))
            step += 1
            average.update(codec, step)
            report(line)
            if clock.spent - saved > 120:
                saved = clock.spent
                save()
    finally:  # Ctrl-C and time limits too: a run goes on where it was
        save()
    codec.load_state_dict(average.weights)
    return codec if plan.decoder_only else measure_latents(codec, plan, device)


def _begin(plan: CodecPlan, start: Mapping[str, Tensor] | None) -> tuple[Codec, list[nn.Module]]:
    """The codec that a run begins with, and its parts that are trained."""
    codec = Codec(plan.config)
    if not plan.decoder_only:
        if start is not None:
            checkpoint.grow(codec, start)
        return codec, [codec]
    needed = "give those of a codec that the same configuration was trained to"
    if start is None:
        raise WeightsError(message("training the decoder alone got no weights", needed))
    try:
        codec.load_state_dict(dict(start))
    except RuntimeError as error:
        raise WeightsError(message("the weights are of another codec", needed)) from error
    codec.encoder.requires_grad_(False)
    return codec, [codec.decoder]


def _state(
    codec: Codec, optimizers: Optimizers, average: Average, step: int, spent: float
) -> dict[str, Any]:
    return {
        "codec": codec.state_dict(),
        "optimizers": optimizers.state_dict(),
        "average": average.weights,
        "step": step,
        "spent": spent,
        "config": asdict(codec.config),
    }


def _encoded(
    codec: Codec, plan: CodecPlan, source: Iterator[Rendering]
) -> Iterator[tuple[Rendering, Tensor]]:
    """Batches with their latents, fresh ones among earlier ones where the encoder stands still."""
    kept: deque[tuple[Rendering, Tensor]] = deque(maxlen=plan.kept)
    chance = np.random.default_rng(0)
    assert plan.repeats == 1 or plan.decoder_only, "latents of a moving encoder grow old"
    while True:
        if kept and chance.uniform() > 1 / plan.repeats:
            yield kept[chance.integers(len(kept))]
            continue
        batch = next(source)
        with torch.set_grad_enabled(not plan.decoder_only), half_precision(batch.frames.device):
            latents, _ = codec.encoder(batch.frames)
        if plan.repeats > 1:
            kept.append((batch, latents))
        yield batch, latents


def _step(
    codec: Codec,
    plan: CodecPlan,
    batch: Rendering,
    latents: Tensor,
    optimizers: Optimizers,
    look: Perceptual | None,
    at: tuple[int, float],
) -> Report:
    step, progress = at
    with half_precision(batch.frames.device):
        noisy = latents + plan.latent_noise * torch.randn_like(latents)
        decoded, _ = codec.decoder(noisy)
        looks = torch.zeros(()) if look is None else look(decoded, batch.frames)
    loss = reconstruction_loss(decoded, batch, plan.actor_weight) + plan.perceptual * looks
    (loss + plan.latent_penalty * latents.float().square().mean()).backward()
    factor = min(1.0, (step + 1) / 50) * rate(progress, total=1.0, warmup=0.0, cooldown=0.5)
    optimizers.step(factor)
    return Report(
        step=step,
        progress=progress,
        loss=float(loss.detach()),
        psnr=float(psnr(decoded.detach(), batch.frames).mean()),
        perceptual=float(looks.detach()),
    )


@torch.no_grad()
def measure_latents(codec: Codec, plan: CodecPlan, device: str, *, clips: int = 60) -> Codec:
    """Sets the statistics that make the latents of the world zero-mean and of unit size."""
    source, seen = batches(plan, device, start=10_000_000 // plan.batch), []
    for _ in range(max(1, clips // plan.batch)):
        latents, _ = codec.encoder(next(source).frames)
        seen.append(latents.float().transpose(0, 1).flatten(1))
    values = torch.cat(seen, 1)
    codec.mean.copy_(values.mean(1))
    codec.deviation.copy_(values.std(1).clamp_min(1e-3))
    return codec
