"""The generator: a request becomes a video. The only place where the parts of a model meet.

    request → canvas: what is known, where (canvas.py) → text states a shot
            → for each window: sampler (level 1 → 0, guidance), its frames known to the next
            → codec, a few latent frames at a time → frames → asked size and rate → recipe

Every task is this one operation; what differs is the canvas. `stream` yields each step, so that
progress, previews and stopping need no callbacks. Memory does not grow with the video's length:
one window is denoised at a time, and frames are decoded when somebody asks for them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from collections.abc import Generator as Generation
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from worldreel import __version__
from worldreel.canvas import Canvas, lay_out
from worldreel.decoding import DecodedFrames
from worldreel.diffusion.caching import Cached, rule, skipped
from worldreel.diffusion.known import Known
from worldreel.diffusion.sampler import Step, Velocity
from worldreel.diffusion.windows import Window, moments, windows
from worldreel.errors import RequestError, message, shown
from worldreel.latents import Latents
from worldreel.models.load import load_model
from worldreel.models.model import Model, Text, View
from worldreel.recipe import Recipe
from worldreel.request import Caching, Lora, Request
from worldreel.shapes import latent_frames, nearest_frames
from worldreel.unfinished import Unfinished
from worldreel.video import Video
from worldreel.video.pixels import shown as pixels

if TYPE_CHECKING:
    from worldreel.trust import Passage, Trust

CONTEXT = 4
"""Latent frames of what is there already that a window looks at on either side."""


@dataclass(frozen=True, kw_only=True)
class StepEvent:
    """`number` of `steps` are done; `elapsed` and `remaining` in seconds. A long video has several
    windows: this is `window` of `windows`. `preview`, called before the next step, makes a frame
    uint8 `[H, W, 3]` of what is now expected, as a person may see it."""

    number: int
    steps: int
    elapsed: float
    remaining: float
    window: int = 1
    windows: int = 1
    preview: Callable[[], Tensor] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """The video, the native (width, height) it was made at, the seconds it took, and a line for
    each thing that was done to make what was given fit."""

    video: Video
    native: tuple[int, int]
    seconds_taken: float
    notes: tuple[str, ...] = ()


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
    seconds: float


class Generator:
    """Makes videos with one model."""

    def __init__(
        self,
        model: Model,
        loras: tuple[Lora, ...] = (),
        trust: Trust | None = None,
        fp8: str = "",
    ) -> None:
        """`loras` are those that the model has on it, with their checksums; `fp8` says what its
        weights are in 8 bits for. Without `trust` nothing is reviewed, marked or signed: for
        measuring, not for showing."""
        self.model, self.loras, self.trust, self.fp8 = model, loras, trust, fp8

    @classmethod
    def load(
        cls,
        name: str = "embedded",
        *,
        device: str | torch.device = "cpu",
        loras: tuple[Lora, ...] = (),
        trust: Trust | None = None,
        fp8: str = "",
        offload: bool = False,
        compiled: bool = False,
    ) -> Generator:
        """A generator by its model's name or folder, with LoRAs; arguments and errors are those of
        `load_model`."""
        model = load_model(
            name, device=device, loras=loras, fp8=fp8, offload=offload, compiled=compiled
        )
        if not loras:
            return cls(model, trust=trust, fp8=fp8)
        from worldreel.models.lora import fingerprint  # who has no LoRA need not wait

        return cls(model, tuple(fingerprint(lora) for lora in loras), trust, fp8)

    def generate(
        self, request: Request, *, noise: Tensor | None = None, fit: str = "crop"
    ) -> Video:
        """The video of a request (its first, if it asks for several)."""
        for event in self.stream(request, noise=noise, fit=fit):
            if isinstance(event, Finished):
                return event.video
        raise AssertionError("a stream ends with Finished")

    def stream(
        self,
        request: Request,
        *,
        noise: Tensor | None = None,
        fit: str = "crop",
        unfinished: Path | None = None,
    ) -> Iterator[StepEvent | Finished]:
        """Steps, then the finished video.

        Args:
            request: what to make; a missing seed is drawn.
            noise: latents `[1, C, t, h, w]` to start from instead of the seed's, so that a run
                can be compared with another implementation.
            fit: how given pictures of another aspect are brought to it: crop, pad or stretch.
            unfinished: a file that keeps the windows made so far; the same request goes on from
                it after an interruption, and it is gone when the video is finished.

        Raises:
            DurationError: longer than can be made.
            RequestError: the noise has another shape than the request needs.
            MediaError: something given cannot be used.
            RefusedError: the prompt or the frames are against the policy.
        """
        passage = None if self.trust is None else self.trust.passage(request)
        try:
            yield from self._stream(request, noise, fit, unfinished, passage)
        finally:
            if passage is not None:
                passage.close()

    def _stream(
        self,
        request: Request,
        noise: Tensor | None,
        fit: str,
        unfinished: Path | None,
        passage: Passage | None,
    ) -> Iterator[StepEvent | Finished]:
        request = replace(request, loras=self._loras(request), cache=self._cache(request))
        kept = None if unfinished is None else Unfinished(unfinished, self.model.sha256)
        if kept is not None and request.seed is None:
            request = replace(request, seed=kept.seed(request))
        job = self._settle(request)
        started = time.monotonic()
        canvas = lay_out(self.model, job.request, job.native, job.seconds, how=fit)
        noise = self._noise(job, canvas) if noise is None else _checked(noise, canvas)
        if kept is not None:
            kept.begin(replace(job.request, seed=job.seed), canvas.latents)
        cached: list[Cached] = []
        latents = yield from self._make(job, canvas, noise, kept, cached, passage)
        video = self._finish(job, canvas, latents, fit)
        notes = canvas.notes + skipped(cached)
        if passage is not None:
            video = passage.passed(video)
            notes += passage.trust.notes
        if kept is not None:
            kept.end()
        yield Finished(
            video=video,
            native=job.native,
            seconds_taken=time.monotonic() - started,
            notes=notes,
        )

    def _loras(self, request: Request) -> tuple[Lora, ...]:
        """The request's LoRAs, with their checksums; raises if the model has others on it."""
        here = [(x.path, x.weight, x.part) for x in self.loras]
        if [(x.path, x.weight, x.part) for x in request.loras] != here:
            came = f"the request has {len(request.loras)} LoRAs that this model was not loaded with"
            raise RequestError(message(came, "load one with the same"))
        for asked, lora in zip(request.loras, self.loras, strict=True):
            if asked.sha256 not in ("", lora.sha256):
                came = f"the LoRA {shown(Path(lora.path).name)} has changed"
                raise RequestError(message(came, "the file that the recipe names is needed"))
        return self.loras

    def _cache(self, request: Request) -> Caching | None:
        """The request's cache, with all that it goes by."""
        if request.fp8 != self.fp8:
            came = f"the request has its weights in 8 bits for {shown(request.fp8 or 'nothing')}"
            raise RequestError(message(came, "load the model with the same"))
        caching = request.caching
        if caching is None or caching.method != "mag" or caching.ratios:
            return caching
        if not self.model.settings.magnitudes:
            came = f"what the cache mag goes by was never measured of {shown(self.model.name)}"
            needed = "`worldreel bench --magnitudes` does that"
            raise RequestError(message(came, needed, nearest="easy"))
        return replace(caching, ratios=self.model.settings.magnitudes)

    def _settle(self, request: Request) -> _Job:
        settings = self.model.settings
        seconds = settings.seconds if request.seconds is None else request.seconds
        if request.known and request.ratio is None and (request.width or request.height) is None:
            clip = request.known[0].clip
            size, native = replace(request, aspect=clip.width / clip.height).sizes(settings.natives)
            size = (clip.width, clip.height) if clip.recipe is not None else native
        else:
            size, native = request.sizes(settings.natives)
        if settings.step is not None and size[0] % settings.step == size[1] % settings.step == 0:
            native = size
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
            seconds=seconds,
        )

    def _noise(self, job: _Job, canvas: Canvas) -> Tensor:
        # Drawn on the CPU whatever the device, so that a seed means the same everywhere.
        generator = torch.Generator().manual_seed(job.seed)
        noise = torch.randn(canvas.latents.shape, generator=generator)
        return (self.model.settings.temperature * noise).to(self.model.device)

    @torch.no_grad()
    def _make(
        self,
        job: _Job,
        canvas: Canvas,
        noise: Tensor,
        kept: Unfinished | None,
        cached: list[Cached],
        passage: Passage | None,
    ) -> Generation[StepEvent, None, Tensor]:
        """Steps; returns the latents of the whole canvas. `cached` gets what skipped steps."""
        settings = self.model.settings
        size = latent_frames(nearest_frames(settings.longest, settings.fps))
        context = max(1, min(CONTEXT, (size - 1) // 2))
        plan = list(windows(canvas.unknown, canvas.shots, size=size, context=context))
        negative = job.request.negative or settings.negative
        cast = () if canvas.cast is None else canvas.cast.texts
        texts = [self.model.read(text) for text in (*canvas.texts, *cast, negative)]
        latents, done = canvas.latents.clone(), 0
        if kept is not None and kept.latents is not None:
            latents, done = kept.latents.to(latents), kept.done
        started = time.monotonic()
        for number, window in enumerate(plan[done:], done + 1):
            for step in self._denoise(job, canvas, window, latents, noise, texts, cached):
                took = time.monotonic() - started
                ready = (number - 1 - done) * job.steps + step.number
                yield StepEvent(
                    number=(number - 1) * job.steps + step.number,
                    steps=len(plan) * job.steps,
                    elapsed=took,
                    remaining=took / ready * ((len(plan) - done) * job.steps - ready),
                    window=number,
                    windows=len(plan),
                    preview=partial(self._preview, step.clean, passage),
                )
            latents[:, :, list(window.indices)] = step.latents
            if kept is not None and number < len(plan):
                kept.save(latents, number)
        return latents

    def _denoise(
        self,
        job: _Job,
        canvas: Canvas,
        window: Window,
        latents: Tensor,
        noise: Tensor,
        texts: list[Text],
        cached: list[Cached],
    ) -> Iterator[Step]:
        """The steps of one window; `texts` are those of the shots, those of the cast, and the
        negative prompt."""
        model, where = self.model, list(window.indices)
        shots = [canvas.shots[i] for i in where]
        present = sorted(set(shots))
        fresh = torch.tensor(window.fresh, device=model.device)[None, None, :, None, None]
        known = Known(
            latents=latents[:, :, where],
            start=torch.where(fresh, canvas.start[:, :, where], 0.0),
        )
        view = View(
            known=known,
            times=tuple(moments(where, shots)),
            shots=tuple(present.index(shot) for shot in shots),
            first=where[0] == 0,
            pictures={n: canvas.pictures[i] for n, i in enumerate(where) if i in canvas.pictures},
        )
        cast, own, part = canvas.cast, [texts[shot] for shot in present], noise[:, :, where]
        if cast is not None:
            view, part = cast.before(view, texts=len(own)), cast.noise(part)
            own += texts[len(canvas.texts) : -1]
        guidance = 1.0 if canvas.held or not any(canvas.texts) else job.guidance
        around, caching = None, job.request.caching
        if caching is not None:

            def around(velocity: Velocity) -> Velocity:
                cached.append(Cached(velocity, rule(caching), steps=job.steps))
                return cached[-1]

        steps = model.denoise(
            view, own, texts[-1], part, steps=job.steps, guidance=guidance, around=around
        )
        yield from steps if cast is None else map(cast.without, steps)

    @torch.no_grad()
    def _preview(self, clean: Tensor, passage: Passage | None) -> Tensor:
        """The last frame of the first group, decoded and reviewed."""
        frames, _ = self.model.codec.decode(clean[:, :, :2])
        frame = pixels(frames[0])[-1:].cpu()
        return (frame if passage is None else passage.preview(frame))[0]

    def _finish(self, job: _Job, canvas: Canvas, made: Tensor, fit: str) -> Video:
        model = self.model
        latents = Latents(
            tensor=made.half().cpu(),
            weights_sha256=model.sha256,
            first=canvas.first,
            count=canvas.frames,
            native=job.native,
        )
        frames = DecodedFrames(model.codec, made, first=canvas.first, count=canvas.frames)
        video = Video.of(frames, fps=model.settings.fps)
        if job.fps != model.settings.fps:
            video = video.resample(job.fps)
        if job.size != job.native:
            video = video.resize(*job.size)
        recipe = Recipe.of(
            job.request,
            model=model.name,
            weights_sha256=model.sha256,
            seed=job.seed,
            seconds=round(canvas.frames / model.settings.fps, 4),
            size=job.size,
            native=job.native,
            fps=job.fps,
            steps=job.steps,
            guidance=job.guidance,
            version=__version__,
            fit=fit,
            latents=latents.name,
        )
        return replace(video, recipe=recipe.to_dict(), latents=latents)


def _checked(noise: Tensor, canvas: Canvas) -> Tensor:
    needed = tuple(canvas.latents.shape)
    if tuple(noise.shape) != needed:
        came = f"the noise has the shape {tuple(noise.shape)}"
        raise RequestError(message(came, f"this request needs {needed}"))
    return noise.float()
