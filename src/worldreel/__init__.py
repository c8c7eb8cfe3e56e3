"""worldreel: type a prompt, get a video.

    import worldreel
    worldreel.generate("a penguin waddles across the snow at night").save("penguin.mp4")

`generate` makes one video from words; `image`, `animate`, `extend`, `fill`, `connect`, `loop`,
`edit` and `storyboard` are the same operation with something given; `load` gives the model itself
(`model.stream(request)` yields every step), `Video` is what comes back. torch is imported only
when one of them is used, so that `worldreel --help` is instant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from worldreel.generator import Generator
    from worldreel.request import Lora, Request
    from worldreel.video import Video

__all__ = [
    "Client",
    "Video",
    "animate",
    "connect",
    "edit",
    "extend",
    "fill",
    "generate",
    "image",
    "load",
    "loop",
    "storyboard",
]

__version__ = "0.1.0"


def load(
    name: str = "embedded",
    *,
    loras: Sequence[str | Lora] = (),
    device: str = "auto",
    fp8: str = "",
    offload: bool = False,
    compiled: bool = False,
) -> Generator:
    """The model called `name`, or the one in the folder of that path, ready to generate; `loras`
    are put on it, and requests name the same. `device` is cpu, cuda, cuda:1 …, or a GPU if there
    is one; with `fp8` weights are kept in 8 bits, for "memory" or for "speed" (requests say so
    too); with `offload` they are streamed to the GPU; `compiled` is for many videos of one size.

    Raises `ModelError` if there is none, `WeightsError` if its weights are missing or damaged.
    """
    from worldreel.generator import Generator
    from worldreel.request import Lora
    from worldreel.trust import Trust

    named = tuple(Lora.parse(x) if isinstance(x, str) else x for x in loras)
    return Generator.load(
        name,
        loras=named,
        trust=Trust.load(),
        device=device,
        fp8=fp8,
        offload=offload,
        compiled=compiled,
    )


def generate(
    prompt: str,
    *,
    negative: str = "",
    seconds: float | None = None,
    width: int | None = None,
    height: int | None = None,
    aspect: str | float | None = None,
    fps: float | None = None,
    seed: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    model: str = "embedded",
    loras: Sequence[str] = (),
    cache: str | None = None,
    fp8: str = "",
    noise: Tensor | None = None,
) -> Video:
    """A video of what `prompt` says; its recipe (with the seed) is in `video.recipe`.

    What is left out is the model's to choose: `width` and `height` in pixels (or an `aspect` such
    as "16:9"), `seconds`, frames a second `fps`, the sampler's `steps` and `guidance`. `loras` are
    files to put on the model, FILE or FILE:WEIGHT. `cache` skips steps ("easy", "mag:0.2"), `fp8`
    keeps weights in 8 bits (for "memory" or "speed"). `noise` (latents `[1, C, t, h, w]`) takes the
    place of the seed's. The model stays loaded for the next call. Raises a `ValueError`
    (`worldreel.errors`) whose message is one sentence when something cannot be made.
    """
    from worldreel.request import Lora, Request

    request = Request(
        prompt=prompt,
        negative=negative,
        seconds=seconds,
        width=width,
        height=height,
        aspect=aspect,
        fps=fps,
        seed=seed,
        steps=steps,
        guidance=guidance,
        model=model,
        loras=tuple(Lora.parse(lora) for lora in loras),
        cache=cache,
        fp8=fp8,
    )
    return _loaded(model, request.loras, fp8).generate(request, noise=noise)


def image(prompt: str, **settings: Any) -> Video:
    """A still of what `prompt` says: a video of one frame. Settings are those of `generate`."""
    from worldreel import tasks

    return _made(tasks.image(prompt, **settings))


def animate(
    pictures: Any, prompt: str = "", *, fit: str = "crop", seconds: float | None = None,
    **settings: Any,
) -> Video:  # fmt: skip
    """A video in which a picture moves: a path, a PIL image or a `Video`; or a mapping of seconds
    to pictures, each of which appears at its time."""
    from worldreel import tasks
    from worldreel.given import known_still

    timed = pictures if isinstance(pictures, Mapping) else {0.0: pictures}
    stills = [known_still(picture, at=at) for at, picture in timed.items()]
    return _made(tasks.animate(stills, prompt, seconds=seconds, **settings), fit)


def extend(
    clip: Any, prompt: str = "", *, seconds: float = 4.0, before: bool = False, fit: str = "crop",
    **settings: Any,
) -> Video:  # fmt: skip
    """The clip (a path or a `Video`) and `seconds` that come after it, or before it."""
    from worldreel import tasks
    from worldreel.given import known_clip

    known = known_clip(clip, like=_like(settings))
    return _made(tasks.extend(known, prompt, seconds=seconds, before=before, **settings), fit)


def fill(
    clip: Any, prompt: str = "", *, start: float | None = None, end: float | None = None,
    unknown: Any = None, fit: str = "crop", **settings: Any,
) -> Video:  # fmt: skip
    """The clip with the time from `start` to `end` made anew, or the part of its picture that
    `unknown` marks (bool `[height, width]`) during it."""
    from worldreel import tasks
    from worldreel.given import known_clip

    known = replace(known_clip(clip, like=_like(settings)), unknown=unknown)
    return _made(tasks.fill(known, prompt, start=start, end=end, **settings), fit)


def connect(
    first: Any, second: Any, prompt: str = "", *, seconds: float = 2.0, fit: str = "crop",
    **settings: Any,
) -> Video:  # fmt: skip
    """Both clips, and between them `seconds` that lead from the one to the other."""
    from worldreel import tasks
    from worldreel.given import known_clip

    a, b = known_clip(first, like=_like(settings)), known_clip(second, like=_like(settings))
    return _made(tasks.connect(a, b, prompt, seconds=seconds, **settings), fit)


def loop(
    clip: Any, prompt: str = "", *, seconds: float = 2.0, fit: str = "crop", **settings: Any
) -> Video:
    """The clip and `seconds` that lead from its end back to its beginning."""
    from worldreel import tasks
    from worldreel.given import known_clip

    known = known_clip(clip, like=_like(settings))
    return _made(tasks.loop(known, prompt, seconds=seconds, **settings), fit)


def edit(
    clip: Any, prompt: str, *, strength: float = 0.6, fit: str = "crop", **settings: Any
) -> Video:
    """The clip in other words: what changes is what a noise level of `strength` hides."""
    from worldreel import tasks
    from worldreel.given import known_clip

    known = known_clip(clip, like=_like(settings))
    return _made(tasks.edit(known, prompt, strength=strength, **settings), fit)


def storyboard(story: Any, *, fit: str = "crop", **settings: Any) -> Video:
    """Several shots in one video: a path to a YAML file, or a `storyboard.Storyboard`."""
    from worldreel.given import board_request
    from worldreel.storyboard import Storyboard, read_storyboard

    board = story if isinstance(story, Storyboard) else read_storyboard(story)
    return _made(board_request(board, settings), fit)


def _like(settings: Mapping[str, Any]) -> Any:
    """The settings of the model that is asked for: clips are read at its rate and size."""
    from worldreel.models.load import settings_of

    return settings_of(str(settings.get("model") or "embedded"))


def _made(request: Request, fit: str = "crop") -> Video:
    return _loaded(request.model, request.loras, request.fp8).generate(request, fit=fit)


@lru_cache(maxsize=1)
def _loaded(name: str, loras: tuple[Lora, ...] = (), fp8: str = "") -> Generator:
    return load(name, loras=loras, fp8=fp8)


def __getattr__(name: str) -> Any:
    """`worldreel.Video`, imported with torch on first use, and `worldreel.Client`."""
    if name == "Client":
        from worldreel.client import Client

        return Client
    if name == "Video":
        from worldreel.video import Video

        return Video
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "Client", "Video"])
