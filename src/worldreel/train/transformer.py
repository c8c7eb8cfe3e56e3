"""Training the transformer, with the text encoder, on cached latents.

One step: draw clips and a caption each (sometimes none) → noise levels a patch, known patches
at 0 → `flow.interpolate` → velocity → `flow.loss` on the unknown patches, actors weighted →
optimizer, averaged weights. A plan has phases (stills, then clips); each says which shapes are
drawn, how often, and how many at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from worldreel.diffusion import flow
from worldreel.text.encoder import TextConfig, TextEncoder
from worldreel.text.table import TextTable
from worldreel.train import checkpoint
from worldreel.train.clock import Clock
from worldreel.train.known import View, draw_known, draw_view
from worldreel.train.latents import Pool, draws, pools
from worldreel.train.optimizer import Average, Optimizers, half_precision, rate
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of training, `share` of the whole: shape name → (weight, batch)."""

    share: float
    shapes: dict[str, tuple[float, int]]


@dataclass(frozen=True, kw_only=True)
class TransformerPlan:
    """How a transformer and its text encoder are trained."""

    config: TransformerConfig
    text: TextConfig
    phases: tuple[Phase, ...]
    minutes: float
    learning_rate: float = 1.5e-3
    warmup: int = 100
    """Steps."""
    cooldown: float = 0.35
    """Share of the run over which the learning rate falls."""
    known: float = 0.3
    """Share of clips of which something is known."""
    windows: float = 0.25
    """Share of steps that look at a window of their clips, as long videos are made."""
    no_caption: float = 0.1
    """Share of clips trained without a caption, for guidance."""
    row_noise: float = 0.2
    """Deviation of the noise on the text table's rows (which have unit size)."""
    actor_weight: float = 4.0
    shift: float = 2.5
    """Of the noise levels of 2,048 numbers, towards more noise (see `flow.shift_for`)."""
    muon: bool = True


class Learner(nn.Module):
    """What is trained together: the text encoder and the transformer."""

    def __init__(self, text: TextConfig, config: TransformerConfig) -> None:
        super().__init__()
        self.text = TextEncoder(text)
        self.transformer = Transformer(config)

    def forward(
        self, noisy: Tensor, noise_level: Tensor, rows: Tensor, mask: Tensor, view: View
    ) -> Tensor:
        """Velocity; rows `[B, S, L, R]` and mask `[B, S, L]` are the texts of S shots."""
        batch = rows.shape[0]
        states = self.text(rows.flatten(0, 1), mask.flatten(0, 1)).unflatten(0, (batch, -1))
        device = noisy.device
        velocity: Tensor = self.transformer(
            noisy,
            noise_level,
            states,
            mask,
            times=torch.tensor(view.times, device=device),
            shots=torch.tensor(view.shots, device=device),
        )
        return velocity


@dataclass(frozen=True, kw_only=True)
class Report:
    """One line of a run's log."""

    step: int
    progress: float
    shape: str
    loss: float
    gradient: float
    clips: int
    """Clips and stills seen so far."""


def train_transformer(
    plan: TransformerPlan,
    latents: Path,
    folder: Path,
    *,
    device: str = "cpu",
    start: Mapping[str, Tensor] | None = None,
    report: Callable[[Report], None] = lambda _: None,
) -> dict[str, Tensor]:
    """Trains, or goes on from the checkpoint in `folder`; returns the averaged weights.

    A new run begins from the weights `start` of another one, if given (see `checkpoint.grow`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    learner = Learner(plan.text, plan.config).to(device)
    if start is not None:
        checkpoint.grow(learner, start)
    optimizers = Optimizers([learner], learning_rate=plan.learning_rate, muon=plan.muon)
    average = Average(learner)
    step, clips, spent = 0, 0, 0.0
    state = checkpoint.load(folder / "transformer.pt")
    if state is not None:
        learner.load_state_dict(state["learner"])
        optimizers.load_state_dict(state["optimizers"])
        average.weights = {k: v.to(device) for k, v in state["average"].items()}
        step, clips, spent = state["step"], state["clips"], state["spent"]
    table = TextTable.load().to(device)
    source = _Source(plan, pools(latents), seed=step)
    clock, saved = Clock(plan.minutes, spent=spent), spent

    def save() -> None:
        state = _state(plan, learner, optimizers, average)
        state |= {"step": step, "clips": clips, "spent": clock.spent}
        checkpoint.save(folder / "transformer.pt", state)

    try:
        while clock.progress < 1:
            progress = clock.progress
            shape, batch = source.draw(progress)
            moved = tuple(part.to(device) for part in batch)
            loss = training_loss(learner, plan, table, *moved, cuts=source.found[shape].cuts)
            loss.backward()
            factor = min(1.0, (step + 1) / plan.warmup)
            gradient = optimizers.step(
                factor * rate(progress, total=1.0, warmup=0.0, cooldown=plan.cooldown)
            )
            step, clips = step + 1, clips + moved[0].shape[0]
            average.update(learner, step)
            line = Report(
                step=step,
                progress=progress,
                shape=shape,
                loss=float(loss.detach()),
                gradient=gradient,
                clips=clips,
            )
            report(line)
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(asdict(line)) + "\n")
            if clock.spent - saved > 300:
                saved = clock.spent
                save()
    finally:  # Ctrl-C and time limits too: a run goes on where it was
        save()
    return average.weights


def training_loss(
    learner: nn.Module,
    plan: TransformerPlan,
    table: TextTable,
    clean: Tensor,
    coverage: Tensor,
    ids: Tensor,
    *,
    cuts: Sequence[int] = (),
) -> Tensor:
    """The loss of one batch: clean `[B, C, t, h, w]`, coverage `[B, t, h, w]`, ids `[B, S, L]`."""
    view = draw_view(clean.shape[2], cuts, share=plan.windows)
    clean, coverage = clean[:, :, list(view.indices)], coverage[:, list(view.indices)]
    rows, mask = _read(plan, table, ids)
    # Most batches of stills know nothing: one level for all patches is the cheaper step.
    some = clean.shape[2] > 1 or float(torch.rand(())) < plan.known / 2
    level, weight = draw_known(
        (clean.shape[0], *clean.shape[2:]),
        share=plan.known if some else 0.0,
        shift=flow.shift_for(clean[0].numel(), plan.shift),
        patch=plan.config.patch,
        given=view.given,
        device=clean.device,
    )
    noise = torch.randn_like(clean)
    noisy = flow.interpolate(clean, noise, level)
    pt, ph, pw = plan.config.patch
    levels = level[:, 0, ::pt, ::ph, ::pw].flatten(1)
    if not some:
        levels = levels[:, :1]
    with half_precision(clean.device):
        predicted = learner(noisy, levels, rows, mask, view)
    weight = weight * (1 + plan.actor_weight * coverage[:, None])
    return flow.loss(predicted, flow.velocity(clean, noise), weight)


def _read(plan: TransformerPlan, table: TextTable, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Rows with noise and mask of a batch's captions `[B, S, L]`, some of them dropped."""
    dropped = torch.rand(ids.shape[0], 1, 1, device=ids.device) < plan.no_caption
    ids = torch.where(dropped, 0, ids).long()
    mask = ids != 0
    mask[..., 0] = True  # "nothing" is one empty word
    longest = max(1, int(mask.sum(-1).max()))
    ids, mask = ids[..., :longest], mask[..., :longest]
    rows = table.embed(ids)
    return rows + plan.row_noise * torch.randn_like(rows) * (ids != 0)[..., None], mask


class _Source:
    """Draws batches of the shapes that the phase asks for."""

    def __init__(self, plan: TransformerPlan, found: dict[str, Pool], *, seed: int) -> None:
        self.plan, self.found, self.seed = plan, found, seed
        self.generator = torch.Generator().manual_seed(seed)
        self.streams: dict[tuple[str, int], Iterator[tuple[Tensor, Tensor, Tensor]]] = {}

    def draw(self, progress: float) -> tuple[str, tuple[Tensor, Tensor, Tensor]]:
        phase, end = self.plan.phases[-1], 0.0
        for candidate in self.plan.phases:
            end += candidate.share
            if progress < end:
                phase = candidate
                break
        names = [name for name in phase.shapes if name in self.found]
        assert names, f"no latents of {list(phase.shapes)}"
        weights = torch.tensor([phase.shapes[name][0] for name in names])
        name = names[int(torch.multinomial(weights, 1, generator=self.generator))]
        key = (name, min(phase.shapes[name][1], len(self.found[name])))
        if key not in self.streams:
            self.streams[key] = draws(self.found[name], key[1], seed=self.seed + len(self.streams))
        return name, next(self.streams[key])


def _state(
    plan: TransformerPlan, learner: Learner, optimizers: Optimizers, average: Average
) -> dict[str, Any]:
    return {
        "learner": learner.state_dict(),
        "optimizers": optimizers.state_dict(),
        "average": average.weights,
        "config": asdict(plan.config),
        "text": asdict(plan.text),
    }
