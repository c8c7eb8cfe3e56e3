"""What makes the videos, as a worker sees it: steps, and a file at the end.

`GeneratorMaker` is the real one, and the only file of the server behind which torch lies;
`Standin` draws coloured frames, so that everything around the model can be tested in no time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from collections.abc import Generator as Generation
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from worldreel.server.orders import Order

if TYPE_CHECKING:
    from worldreel.generator import Generator
    from worldreel.request import Character, Request

_FRAMES = 40  # of a stand-in: nobody waits for two minutes of colours
_PREVIEW = 320
"""Pixels of a preview's longer side."""

__all__ = ["GeneratorMaker", "Maker", "Progress", "Standin"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """`step` of `steps` are done; `remaining` in seconds, if anybody knows."""

    step: int
    steps: int
    remaining: float | None = None
    notes: tuple[str, ...] = ()
    preview: Callable[[], bytes] | None = None
    """Makes a WebP of what the video is becoming."""


class Maker(Protocol):
    """Makes the videos of orders."""

    loaded: str | None
    """The model that is in memory."""

    def make(
        self, order: Order, source: Path | None, target: Path
    ) -> Generation[Progress, None, None]:
        """Writes the video of an order to `target`, yielding often; closing it stops the work."""
        ...


class GeneratorMaker:
    """Makes them by `worldreel.generator`, one model in memory at a time."""

    def __init__(self, loras: str = "") -> None:
        """`loras` is the operator's folder."""
        self.loaded: str | None = None
        self.loras = loras
        self._key: tuple[Any, ...] = ()
        self._generator: Generator | None = None

    def make(
        self, order: Order, source: Path | None, target: Path
    ) -> Generation[Progress, None, None]:
        """As `Maker.make`; raises as the generator does."""
        from worldreel.generator import Finished
        from worldreel.trust import Trust

        generator = self._load(order)
        generator.trust = replace(Trust.load(), uploaded=bool(order.files))
        request = self._request(generator, order, source)
        steps = 1
        for event in generator.stream(request):
            if isinstance(event, Finished):
                yield Progress(step=steps, steps=steps, notes=event.notes)
                yield from self._write(event, target, steps)
                return
            steps = event.steps
            look = None if event.preview is None else partial(_small, event.preview)
            yield Progress(step=event.number, steps=steps, remaining=event.remaining, preview=look)

    def _write(self, event: Any, target: Path, steps: int) -> Generation[Progress, None, None]:
        # `save` reports by a callback; that one raises what the worker wants to say.
        event.video.save(target)
        yield Progress(step=steps, steps=steps, remaining=0.0)

    def _load(self, order: Order) -> Generator:
        from worldreel.generator import Generator
        from worldreel.request import Lora

        key = (order.engine, order.loras)
        if self._generator is None or self._key != key:
            self._generator = None  # before the next comes: two may not fit
            loras = tuple(
                Lora(path=str(Path(self.loras) / name), weight=weight)
                for name, weight in order.loras
            )
            self._generator = Generator.load(order.engine, device=_device(), loras=loras)
            self._key, self.loaded = key, order.engine
        return self._generator

    def _request(self, generator: Generator, order: Order, source: Path | None) -> Request:
        from worldreel import tasks
        from worldreel.given import known_clip, known_still
        from worldreel.request import Request

        made: dict[str, Any] = {
            "negative": order.negative,
            "width": order.width,
            "height": order.height,
            "fps": order.fps,
            "seed": order.seed,
            "steps": order.steps,
            "guidance": order.guidance,
            "model": order.engine,
            "loras": generator.loras,
            "cast": _cast(order, source),
        }
        if order.given or order.shots:
            from worldreel.server.studio.building import build

            return build(order, source, like=generator.model.settings, **made)
        if order.task == "generate":
            return Request(prompt=order.prompt, seconds=order.seconds, **made)
        assert source is not None, order.task
        if order.task == "animate":
            return tasks.animate([known_still(source)], order.prompt, seconds=order.seconds, **made)
        clip = known_clip(source, like=generator.model.settings)
        if order.task == "extend":
            return tasks.extend(clip, order.prompt, seconds=order.seconds, **made)
        assert order.task == "edit", order.task
        return tasks.edit(clip, order.prompt, strength=order.strength, **made)


def _cast(order: Order, source: Path | None) -> tuple[Character, ...]:
    """The order's characters; their files lie beside its first one."""
    from worldreel.given import known_shown
    from worldreel.request import Character

    if not order.cast:
        return ()
    assert source is not None
    return tuple(
        Character(name=m.name, about=m.about, known=known_shown(source.parent / m.file))
        for m in order.cast
    )


def _small(preview: Callable[[], Any]) -> bytes:
    """A preview as a file."""
    import io

    from PIL import Image

    picture, file = Image.fromarray(preview().numpy()), io.BytesIO()
    picture.thumbnail((_PREVIEW, _PREVIEW))
    picture.save(file, "WEBP", quality=70)
    return file.getvalue()


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Standin:
    """Takes `WORLDREEL_STANDIN_SECONDS` (0.2) a job; words in the prompt make it misbehave."""

    loaded: str | None = None

    def __init__(self, loras: str = "") -> None:
        self.seconds = float(os.environ.get("WORLDREEL_STANDIN_SECONDS", "0.2"))

    def make(
        self, order: Order, source: Path | None, target: Path
    ) -> Generation[Progress, None, None]:
        """As `Maker.make`."""
        self.loaded = order.engine
        _misbehave(order.prompt)
        steps = 200 if "[slow]" in order.prompt else 5
        each = 0.1 if "[slow]" in order.prompt else self.seconds / steps
        for step in range(1, steps + 1):
            time.sleep(each)
            left = (steps - step) * each
            yield Progress(step=step, steps=steps, remaining=left, preview=lambda: b"preview")
        _draw(order, target)


def _misbehave(prompt: str) -> None:
    acts: dict[str, Callable[[], Any]] = {
        "[memory]": lambda: _raise(MemoryError()),
        "[fail]": lambda: _raise(RuntimeError("told to")),
        "[space]": lambda: _raise(OSError(28, "No space left on device")),
        "[crash]": os.abort,
        "[hog]": lambda: [bytearray(b"x" * 2**20) for _ in range(1024)] and None,
    }
    for word, act in acts.items():
        if word in prompt:
            act()


def _raise(error: BaseException) -> None:
    raise error


def _draw(order: Order, target: Path) -> None:
    import av
    import numpy as np

    frames = min(max(1, round(order.total * 2)), _FRAMES)
    with av.open(str(target), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=2)
        width, height = order.width // 2 * 2, order.height // 2 * 2
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "threads": "1"}
        for number in range(frames):
            colour = ((order.seed * 37) % 256, (number * 20) % 256, 90)
            picture = np.full((height, width, 3), colour, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
