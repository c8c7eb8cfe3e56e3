"""What this machine makes of a model: seconds a step, and how near that comes to its limit.

The operations that a network needs are counted from its sizes (a product of n×k and k×m is 2·n·k·m;
norms, activations and softmax count as nothing), for N patches of width D and L words, a block:

    2·N·(6·D² + 2·D·H) + 4·N·(N + L)·D + 4·L·D²          H: width of the feed-forward

The limit is what one large matrix product reaches here, of the same type of numbers, in the same
run. A share of 1 would mean that nothing but products takes time.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, cast

import torch

from worldreel.diffusion.caching import Magnitudes, mean_ratios
from worldreel.diffusion.sampler import Step, Velocity
from worldreel.errors import ModelError, message, shown
from worldreel.generator import Finished, Generator, StepEvent
from worldreel.models.model import Model
from worldreel.request import Request
from worldreel.shapes import latent_shape, nearest_frames, patch_count
from worldreel.transformer.config import TransformerConfig

PROMPT = "a red car drives to the right along the beach at sunset"
SOME = (
    PROMPT,
    "a penguin waddles across the snow at night",
    "a close-up of a blue bird that sings in a park, the camera moves slowly to the left",
)
"""What the answers of a model are measured with: they hardly differ from prompt to prompt."""
STEPS = 4

Tell = Callable[[float, str], None]
"""Takes the share that is done and what is being done."""


def operations(config: TransformerConfig, patches: int, words: int) -> float:
    """Operations of one forward; the few of entering and leaving, and of the words themselves, are
    counted too."""
    n, d, words_wide = patches, config.width, config.text_width
    block = 2 * n * (6 * d * d + 2 * d * config.hidden) + 4 * n * (n + words) * d
    block += 4 * words * d * d
    ends = 2 * n * d * math.prod(config.patch) * (2 * config.channels + config.beside)
    return float(config.layers * block + ends + 2 * words * d * (words_wide + d))


def peak(kind: torch.dtype, device: torch.device, *, seconds: float = 1.0) -> float:
    """Operations a second of one large matrix product, the best of some."""
    size = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    best, begun, runs = math.inf, time.perf_counter(), 0
    while time.perf_counter() - begun < seconds or runs < 4:
        _wait(device)
        start = time.perf_counter()
        a @ b
        _wait(device)
        best, runs = min(best, time.perf_counter() - start), runs + 1
    return 2 * size**3 / best


def measure(generator: Generator, *, steps: int = STEPS, tell: Tell) -> dict[str, Any]:
    """Makes one video of the model's usual size and length with few steps, and says how long each
    part of it took; ready for JSON. Raises `ModelError` for a model without a transformer of ours.
    """
    model, settings = generator.model, generator.model.settings
    config, kind = _network(model)
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    seconds = min(settings.seconds, settings.longest)
    request = Request(prompt=PROMPT, seed=1, seconds=seconds, steps=max(2, steps))
    times, decoded, count, began = [], 0.0, 0, time.perf_counter()
    for event in generator.stream(request):
        if isinstance(event, StepEvent):
            _wait(model.device)
            times.append(time.perf_counter() - began)
            tell(0.8 * event.number / event.steps, f"step {event.number}")
        elif isinstance(event, Finished):
            tell(0.85, "decoding")
            begun = time.perf_counter()
            count = len(event.video.frames[:])
            decoded = time.perf_counter() - begun
    tell(0.95, "measuring the limit")
    memory = torch.cuda.max_memory_allocated() if on_gpu else _most_memory()
    calls = 1 if settings.guidance == 1.0 else 2
    patches = _patches(model)
    step = statistics.median(b - a for a, b in pairwise(times))
    words = model.read(PROMPT)[0].shape[1]
    needed, limit = calls * operations(config, patches, words), peak(kind, model.device)
    return {
        "model": model.name,
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "threads": torch.get_num_threads(),
        "numbers": str(kind).removeprefix("torch."),
        "size": f"{settings.natives[0][0]}x{settings.natives[0][1]}",
        "seconds": seconds,
        "patches": patches,
        "calls_a_step": calls,
        "first_step_seconds": round(times[0], 4),
        "seconds_a_step": round(step, 4),
        "tflop_a_step": _three(needed / 1e12),
        "tflop_a_second": _three(needed / step / 1e12),
        "limit_tflop_a_second": _three(limit / 1e12),
        "share_of_limit": _three(needed / step / limit),
        "decoded_frames_a_second": _three(count / decoded),
        "usual_steps": settings.steps,
        "usual_video_seconds": round(times[0] + (settings.steps - 1) * step + decoded, 2),
        "peak_memory_bytes": memory,
    }


def magnitudes(generator: Generator, *, prompts: Sequence[str], tell: Tell) -> tuple[float, ...]:
    """What the cache "mag" goes by, of a video of each prompt with the usual settings: by how much
    the network's answers grow from step to step (diffusion/caching.py)."""
    watched = _Watched(generator.model)
    measuring = Generator(cast(Model, watched), generator.loras, fp8=generator.fp8)
    usual = min(generator.model.settings.seconds, generator.model.settings.longest)
    for number, prompt in enumerate(prompts):
        request = Request(
            prompt=prompt, seed=number, seconds=usual, loras=generator.loras, fp8=generator.fp8
        )
        for event in measuring.stream(request):
            if isinstance(event, StepEvent):
                done = (number + event.number / event.steps) / len(prompts)
                tell(done, f"video {number + 1} of {len(prompts)}")
    return tuple(round(ratio, 5) for ratio in mean_ratios(watched.runs))


class _Watched:
    """A model whose answers are measured, and otherwise itself."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.runs: list[Magnitudes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def denoise(self, *given: Any, **named: Any) -> Iterator[Step]:
        """As the model's own."""
        return self.model.denoise(*given, **{**named, "around": self._watch})

    def _watch(self, velocity: Velocity) -> Velocity:
        self.runs.append(Magnitudes(velocity))
        return self.runs[-1]


def _network(model: Model) -> tuple[TransformerConfig, torch.dtype]:
    """Sizes of the network, and the type of most of its numbers."""
    transformer = getattr(model, "transformer", None)
    if transformer is None:
        experts = getattr(model, "experts", ())
        transformer = experts[0].transformer if experts else None
    if transformer is None:
        came = f"the model {shown(model.name)} has no transformer that can be measured"
        raise ModelError(message(came, "name one that `worldreel models` lists"))
    return transformer.config, transformer.enter.weight.dtype


def _patches(model: Model) -> int:
    """Patches of a video of the model's usual size and length."""
    settings, codec = model.settings, model.codec.config
    width, height = settings.natives[0]
    frames = nearest_frames(
        min(settings.seconds, settings.longest), settings.fps, temporal=codec.temporal
    )
    sizes = {"temporal": codec.temporal, "spatial": codec.spatial}
    return patch_count(latent_shape(frames, height, width, **sizes), model.patch)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _most_memory() -> int | None:
    """Most bytes that this process ever held, where the system says so."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _three(value: float) -> float:
    return float(f"{value:.3g}")
