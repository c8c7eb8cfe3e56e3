"""Open weights as a model: one `denoise` for all kinds of the Wan family (kinds.py).

A level for the whole clip (T2V, I2V …)   known positions are shown to the network at the level of
                                          the others, with the noise they would have come from;
                                          what is returned of them is untouched
A level a patch (TI2V, DF …)              known positions are shown clean, at level 0
Further channels (I2V, FLF2V)             what is known is told beside the latents too (beside.py)

The networks have seen clips without gaps in time, so cuts are no jump for them, and moments of long
ago that a window remembers are not shown to them. docs/open.md says what that costs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor

from worldreel.codec.wan import WanCodec
from worldreel.diffusion.fewsteps import few_steps, one_level, seeded
from worldreel.diffusion.forcing import diffusion_forcing
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Around, Step, Velocity, guided
from worldreel.diffusion.solvers import Schedule, euler, euler_schedule, unipc, unipc_schedule
from worldreel.errors import RequestError, message, shown
from worldreel.models.model import Settings, Text, View
from worldreel.models.pairs import guided_pair
from worldreel.models.wan.beside import told
from worldreel.models.wan.causal import denoise_causal
from worldreel.models.wan.image import ImageReader
from worldreel.models.wan.kinds import Kind, few_schedule, level_a_patch, rate_number
from worldreel.models.wan.text import TextReader
from worldreel.transformer.block import Words
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

TOGETHER = 4096
"""Patches up to which a GPU is asked with and without the prompt in one call: alone, so few of them
do not fill it."""
HAZE = 0.02
"""The level at which a window's known frames are shown where diffusion forcing goes on from an
earlier window: it hides what the earlier one did wrong (SkyReels-V2)."""


@dataclass(frozen=True, kw_only=True)
class Expert:
    """A transformer for levels from `above` on, which `load` reads when it is first needed: by
    then the text encoder has left the memory. `put` makes it ready to work. `guidance` takes the
    place of the model's own, where the expert was published with another."""

    config: TransformerConfig
    load: Callable[[], Transformer]
    put: Callable[[Transformer], None]
    above: float = 0.0
    guidance: float | None = None

    @cached_property
    def transformer(self) -> Transformer:
        """The network, read once; its weights may still be changed."""
        return self.load()

    @cached_property
    def ready(self) -> Transformer:
        """The network, where it works."""
        self.put(self.transformer)
        return self.transformer


@dataclass(frozen=True, kw_only=True)
class OpenModel:
    """Open weights, as `models.model.Model` asks for a model; the experts highest first."""

    name: str
    kind: Kind
    experts: tuple[Expert, ...]
    codec: WanCodec
    reader: TextReader
    looker: ImageReader | None
    settings: Settings
    sha256: str
    device: torch.device
    solver: str = "unipc"

    @property
    def patch(self) -> tuple[int, int, int]:
        """Latent positions that a patch covers."""
        return self.experts[0].config.patch

    def read(self, prompt: str) -> Text:
        """Text states `[1, 512, D]` of a prompt, and a mask that is true throughout."""
        states, mask = self.reader.read(prompt)
        return states.to(self.device), mask.to(self.device)

    @torch.no_grad()
    def denoise(
        self,
        view: View,
        texts: Sequence[Text],
        other: Text,
        noise: Tensor,
        *,
        steps: int,
        guidance: float,
        around: Around | None = None,
    ) -> Iterator[Step]:
        """See the module's docstring. With two experts a `guidance` other than the settings' is
        that of both. Few-step weights take nothing `around` their velocity: no step is to spare."""
        if around is not None and self.kind.few:
            came = f"{shown(self.name)} makes a video in {self.settings.steps} steps"
            raise RequestError(message(came, "a cache needs more", nearest="none"))
        self.reader.release()  # before the transformers come
        where = near(view)
        part = _cut(view, where)
        noise = noise[:, :, where]
        if self.kind is Kind.SELF_FORCING:
            ready, states = self.experts[0].ready, _states(texts)
            run = denoise_causal(ready, part, states, None, noise, steps=steps)
        else:
            run = self._sampled(part, texts, other, noise, steps, guidance, around)
        for step in run:
            yield _whole(step, view, where)

    def _sampled(
        self,
        view: View,
        texts: Sequence[Text],
        other: Text,
        noise: Tensor,
        steps: int,
        guidance: float,
        around: Around | None,
    ) -> Iterator[Step]:
        known, channels, image = view.known, None, None
        if self.experts[0].config.beside:
            beside = told(view, self.codec)
            known, channels = beside.known, beside.channels
            if self.looker is not None and beside.pictures:
                image = self._look(beside.pictures)
        asked = _Asked(
            texts=_states(texts),
            other=other[0],
            shots=torch.tensor(view.shots, device=self.device) if len(texts) > 1 else None,
            beside=channels,
            image=image,
            fps=self.settings.fps,
            together=len(texts) == 1 and self._paired(noise),
        )
        chosen = None if guidance == self.settings.guidance else guidance
        velocity = asked.velocity(self.experts, chosen, self.settings.guidance)
        velocity = velocity if around is None else around(velocity)
        yield from self._solved(velocity, noise, known, steps, view)

    def _solved(
        self, velocity: Velocity, noise: Tensor, known: Known, steps: int, view: View
    ) -> Iterator[Step]:
        """By the solver that the weights were made for."""
        schedule = self._schedule(steps)
        if self.kind.few:
            drawn = seeded(noise)
            if not self._by_patch:
                velocity = one_level(velocity, known, drawn)
            yield from few_steps(
                velocity, noise, known, schedule, patch=self.patch, generator=drawn
            )
            return
        if not self._by_patch:
            velocity = same_level(velocity, known, noise)
        if self.kind is Kind.DF:
            haze = 0.0 if view.first else HAZE
            yield from diffusion_forcing(
                velocity, noise, known, schedule, haze=haze, patch=self.patch
            )
            return
        solver = euler if self.solver == "euler" else unipc
        yield from solver(velocity, noise, known, schedule, patch=self.patch)

    def _paired(self, noise: Tensor) -> bool:
        few = noise.shape[2:].numel() <= TOGETHER * math.prod(self.patch)
        return few and self.device.type == "cuda"

    @property
    def _by_patch(self) -> bool:
        return level_a_patch(self.kind, self.experts[0].config)

    def _schedule(self, steps: int) -> Schedule:
        if self.kind.few:
            return few_schedule(self.kind, steps, image=bool(self.experts[0].config.beside))
        make = euler_schedule if self.solver == "euler" else unipc_schedule
        return make(steps, shift=self.settings.shift)

    def _look(self, pictures: Sequence[Tensor]) -> Tensor:
        assert self.looker is not None
        places = self.experts[0].config.image_places
        states = self.looker.look(pictures)
        if places is not None and states.shape[1] < places:  # made for two: the one stands for both
            states = states.repeat(1, 2, 1)
        return states


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What the network is told beside the noisy latents and their level."""

    texts: Tensor
    other: Tensor
    shots: Tensor | None
    beside: Tensor | None
    image: Tensor | None
    fps: float
    together: bool = False
    """Guidance in one batch of two."""

    def velocity(self, experts: Sequence[Expert], chosen: float | None, usual: float) -> Velocity:
        """Of whichever expert has the level, guided as `chosen`, or as published."""
        ready: dict[int, Velocity] = {}

        def velocity(noisy: Tensor, noise_level: Tensor) -> Tensor:
            level = float(noise_level.max())
            # Experts change at a whole thousandth; the level is one in fp32.
            one = next(e for e in experts if e is experts[-1] or level + 1e-6 >= e.above)
            number = experts.index(one)
            if number not in ready:
                published = usual if one.guidance is None else one.guidance
                scale = published if chosen is None else chosen
                ready.clear()  # what an expert read of the texts is of no use to another
                ready[number] = self._guided(one.ready, scale)
            return ready[number](noisy, noise_level)

        return velocity

    def _guided(self, transformer: Transformer, scale: float) -> Velocity:
        if self.together and scale != 1.0:
            both = torch.cat([self.texts, self.other])
            return guided_pair(self._toward(transformer, both, None), scale)
        toward = self._toward(transformer, self.texts, self.shots)
        if scale == 1.0:
            return toward
        return guided(toward, self._toward(transformer, self.other, None), scale)

    def _toward(self, transformer: Transformer, states: Tensor, shots: Tensor | None) -> Velocity:
        kind, config = transformer.enter.weight.dtype, transformer.config
        states = states.to(kind)
        count = states.shape[0]
        image, beside = self.image, self.beside
        image = None if image is None else image.to(kind).expand(count, -1, -1)
        beside = None if beside is None else beside.expand(count, *beside.shape[1:])
        words: tuple[Words, ...] = transformer.words(states, image)
        rate = None
        if config.rates:
            rate = torch.full((count,), rate_number(self.fps), device=states.device)

        def toward(noisy: Tensor, noise_level: Tensor) -> Tensor:
            made: Tensor = transformer(
                noisy, noise_level, states, None,
                shots=shots, beside=beside, image=image, rate=rate, words=words,
            )  # fmt: skip
            return made.float()

        return toward


def same_level(velocity: Velocity, known: Known, noise: Tensor) -> Velocity:
    """A velocity for levels a position, of one trained with the same level everywhere.

    Positions at a level u below the top one, v, are brought up to it along the noise they would
    have come from: of x = (1 − u)·clean + u·noise becomes (1 − v)·clean + v·noise, which is

        x·(1 − v)/(1 − u) + noise·(v − u)/(1 − u)

    The same noise at every step, so that what the network sees of them only becomes clearer.
    """
    share = known.start / known.start.amax().clamp_min(1e-12)

    def raised(noisy: Tensor, noise_level: Tensor) -> Tensor:
        if noise_level.shape[1] == 1:
            return velocity(noisy, noise_level)
        top = noise_level.amax(1, keepdim=True)
        v = top.to(noisy.dtype)[:, :, None, None, None]
        u = share.to(noisy.dtype) * v
        left = (1 - u).clamp_min(1e-6)
        shown = torch.where(u < v, (noisy * (1 - v) + noise * (v - u)) / left, noisy)
        return velocity(shown, top)

    return raised


def near(view: View) -> list[int]:
    """The latent frames of a view that a network is shown: all but lone moments of long ago, which
    are known and lie apart from the others."""
    runs: list[list[int]] = [[0]]
    for i, (before, after) in enumerate(pairwise(view.times), 1):
        if after - before > 1.5:
            runs.append([])
        runs[-1].append(i)
    unknown = (view.known.start.amax((0, 1, 3, 4)) > 0).tolist()
    kept = [run for run in runs if len(run) > 1 or unknown[run[0]]]
    return [i for run in kept for i in run] or list(range(len(view.times)))


def _cut(view: View, where: list[int]) -> View:
    """The view of these latent frames alone, one right after the other."""
    return replace(
        view,
        known=Known(latents=view.known.latents[:, :, where], start=view.known.start[:, :, where]),
        times=tuple(float(i) for i in range(len(where))),
        shots=tuple(view.shots[i] for i in where),
        first=view.first and where[0] == 0,
        pictures={n: view.pictures[i] for n, i in enumerate(where) if i in view.pictures},
    )


def _whole(step: Step, view: View, where: list[int]) -> Step:
    """A step with what was not shown to the network, which is known, in its place again."""
    if len(where) == len(view.times):
        return step
    latents, clean = (view.known.latents.to(x.dtype).clone() for x in (step.latents, step.clean))
    latents[:, :, where], clean[:, :, where] = step.latents, step.clean
    return replace(step, latents=latents, clean=clean)


def _states(texts: Sequence[Text]) -> Tensor:
    """Text states `[1, L, D]` of each shot → `[1, S, L, D]`, or as they are if there is one."""
    if len(texts) == 1:
        return texts[0][0]
    return torch.stack([states for states, _ in texts], 1)
