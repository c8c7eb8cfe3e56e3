"""worldreel: type a prompt, get a video.

    import worldreel
    worldreel.generate("a penguin waddles across the snow at night").save("penguin.mp4")

`generate` makes one video, `load` gives the model itself (`model.stream(request)` yields every
step), `Video` is what comes back. torch is imported only when one of them is used, so that
`worldreel --help` is instant.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from worldreel.generator import Generator
    from worldreel.video import Video

__all__ = ["Video", "generate", "load"]

__version__ = "0.1.0"


def load(name: str = "embedded") -> Generator:
    """The model called `name`, or the one in the folder of that path, ready to generate.

    Raises `ModelError` if there is none, `WeightsError` if its weights are missing or damaged.
    """
    from worldreel.generator import Generator

    return Generator.load(name)


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
    noise: Tensor | None = None,
) -> Video:
    """A video of what `prompt` says; its recipe (with the seed) is in `video.recipe`.

    What is left out is the model's to choose: `width` and `height` in pixels (or an `aspect` such
    as "16:9"), `seconds`, frames a second `fps`, the sampler's `steps` and `guidance`. `noise`
    (latents `[1, C, t, h, w]`) takes the place of the seed's. The model stays loaded for the next
    call. Raises a `ValueError` (`worldreel.errors`) whose message is one
    sentence when something cannot be made.
    """
    from worldreel.request import Request

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
    )
    return _loaded(model).generate(request, noise=noise)


@lru_cache(maxsize=1)
def _loaded(name: str) -> Generator:
    return load(name)


def __getattr__(name: str) -> Any:
    """`worldreel.Video`, imported with torch on first use."""
    if name == "Video":
        from worldreel.video import Video

        return Video
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "Video"])
