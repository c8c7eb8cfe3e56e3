"""The generator: a request becomes a video. The only place where the parts of a model meet.

    request → size, frames, noise → text states → sampler (noise level 1 → 0, guidance)
            → codec, a few latent frames at a time → frames → asked size and rate → recipe

`stream` yields each step, so that progress, previews and stopping need no callbacks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from worldreel import __version__
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import guided, sample, schedule
from worldreel.errors import DurationError, RequestError, message
from worldreel.models.embedded import Model, load_model
from worldreel.recipe import Recipe
from worldreel.request import Request
from worldreel.shapes import frames_of_latents, latent_shape
from worldreel.video import Video

DECODE_CHUNK = 4
"""Latent frames decoded at a time: memory stays constant however long the video is."""


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """`number` of `steps` of a phase are done; `elapsed` and `remaining` in seconds."""

    number: int
    steps: int
    phase: Literal["denoise", "decode"]
    elapsed: float
    remaining: float


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The video, the native (width, height) it was made at, and the seconds it took."""

    video: Video
    native: tuple[int, int]
    seconds_taken: float


@dataclass(frozen=True, kw_only=True)
class _Job:
    """A request with everything settled."""

    request: Request
    seed: int
    steps: int
    guidance: float
    fps: float
    size: tuple[int, int]
    native: tuple[int, int]
    frames: int
    latents: tuple[int, int, int, int, int]


class Generator:
    """Makes videos with one model."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @classmethod
    def load(cls, name: str = "embedded", *, device: str | torch.device = "cpu") -> Generator:
        """A generator by its model's name or folder; raises as `load_model` does."""
        return cls(load_model(name, device=device))

    def generate(self, request: Request, *, noise: Tensor | None = None) -> Video:
        """The video of a request (its first, if it asks for several)."""
        for event in self.stream(request, noise=noise):
            if isinstance(event, Finished):
                return event.video
        raise AssertionError("a stream ends with Finished")

    def stream(
        self, request: Request, *, noise: Tensor | None = None
    ) -> Iterator[StepEvent | Finished]:
        """Steps, then the finished video.

        Args:
            request: what to make; a missing seed is drawn.
            noise: latents `[1, C, t, h, w]` to start from instead of the seed's, so that a run
                can be compared with another implementation.

        Raises:
            DurationError: longer than the model can make.
            RequestError: the noise has another shape than the request needs.
        """
        job = self._settle(request)
        started = time.monotonic()
        latents = self._noise(job) if noise is None else _checked(noise, job)
        for step in self._denoise(job, latents):
            elapsed = time.monotonic() - started
            yield StepEvent(
                number=step[0],
                steps=job.steps,
                phase="denoise",
                elapsed=elapsed,
                remaining=elapsed / step[0] * (job.steps - step[0]) * 1.1,
            )
            latents = step[1]
        frames: list[Tensor] = []
        for done, total, part in self._decode(latents):
            frames.append(part)
            elapsed = time.monotonic() - started
            yield StepEvent(
                number=done, steps=total, phase="decode", elapsed=elapsed, remaining=0.0
            )
        video = self._finish(job, torch.cat(frames)[: job.frames])
        yield Finished(
            video=video, native=job.native, seconds_taken=time.monotonic() - started
        )

    def _settle(self, request: Request) -> _Job:
        settings = self.model.settings
        seconds = settings.seconds if request.seconds is None else request.seconds
        if seconds > settings.longest:
            raise DurationError(
                message(
                    f"the duration is {seconds:g} seconds",
                    f"this model makes up to {settings.longest:g}",
                    nearest=f"{settings.longest:g}",
                )
            )
        size, native = request.sizes(settings.natives)
        config = self.model.codec.config
        frames = max(1, round(seconds * settings.fps))
        whole = 1 + math.ceil((frames - 1) / config.temporal) * config.temporal
        t, h, w = latent_shape(
            whole, native[1], native[0], temporal=config.temporal, spatial=config.spatial
        )
        seed = request.seeded().seed
        assert seed is not None
        return _Job(
            request=request,
            seed=seed,
            steps=settings.steps if request.steps is None else request.steps,
            guidance=settings.guidance if request.guidance is None else request.guidance,
            fps=settings.fps if request.fps is None else request.fps,
            size=size,
            native=native,
            frames=frames,
            latents=(1, config.channels, t, h, w),
        )

    def _noise(self, job: _Job) -> Tensor:
        # Drawn on the CPU whatever the device, so that a seed means the same everywhere.
        generator = torch.Generator().manual_seed(job.seed)
        return torch.randn(job.latents, generator=generator).to(self.model.device)

    @torch.no_grad()
    def _denoise(self, job: _Job, noise: Tensor) -> Iterator[tuple[int, Tensor]]:
        model = self.model
        text, mask = model.read(job.request.prompt)
        other, other_mask = model.read(job.request.negative)

        def conditional(noisy: Tensor, level: Tensor) -> Tensor:
            return model.transformer(noisy, level, text, mask)  # type: ignore[no-any-return]

        def unconditional(noisy: Tensor, level: Tensor) -> Tensor:
            return model.transformer(noisy, level, other, other_mask)  # type: ignore[no-any-return]

        velocity = guided(conditional, unconditional, job.guidance)
        known = Known.nothing(job.latents, device=model.device)
        levels = schedule(job.steps, shift=model.settings.shift)
        patch = model.transformer.config.patch
        for step in sample(velocity, noise, known, levels, patch=patch):
            yield step.number, step.latents

    @torch.no_grad()
    def _decode(self, latents: Tensor) -> Iterator[tuple[int, int, Tensor]]:
        """Frames uint8 `[T, H, W, 3]`, a chunk of latent frames at a time."""
        state, total = None, frames_of_latents(latents.shape[2])
        done = 0
        for part in latents.split(DECODE_CHUNK, dim=2):
            frames, state = self.model.codec.decode(part, state)
            pixels = ((frames[0].float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
            done += pixels.shape[1]
            yield done, total, pixels.permute(1, 2, 3, 0).cpu()

    def _finish(self, job: _Job, frames: Tensor) -> Video:
        settings = self.model.settings
        video = Video(frames, fps=settings.fps)
        if job.fps != settings.fps:
            video = video.resample(job.fps)
        if job.size != job.native:
            video = video.resize(*job.size)
        recipe = Recipe(
            model=self.model.name,
            weights_sha256=self.model.sha256,
            prompt=job.request.prompt,
            negative=job.request.negative,
            seed=job.seed,
            seconds=round(len(frames) / settings.fps, 4),
            width=job.size[0],
            height=job.size[1],
            native_width=job.native[0],
            native_height=job.native[1],
            fps=job.fps,
            steps=job.steps,
            guidance=job.guidance,
            version=__version__,
        )
        return Video(video.frames, fps=video.fps, recipe=recipe.to_dict())


def _checked(noise: Tensor, job: _Job) -> Tensor:
    if tuple(noise.shape) != job.latents:
        came = f"the noise has the shape {tuple(noise.shape)}"
        raise RequestError(message(came, f"this request needs {job.latents}"))
    return noise.float()
