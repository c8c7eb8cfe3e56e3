"""One example of every command on one page, at fixed seeds, none picked by hand afterwards.

A row is a command: six moments of its result, those that were given framed in orange, those that
were changed from a middle noise level (edit) or in part (a region) in blue.
`python -m worldreel.evaluate.examples OUT.png [--model NAME] [--steps N]` makes the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from worldreel import tasks
from worldreel.canvas import lay_out
from worldreel.generator import Generator
from worldreel.request import KnownClip, Request, Shot
from worldreel.video import Video

__all__ = ["Example", "examples", "page"]

CAR = "a red car drives to the right on a city street in the day"
BOARD = (
    Shot(prompt="a red car drives on a city street in the day", seconds=1.5),
    Shot(prompt="the red car drives on a beach at dusk", seconds=1.5),
    Shot(prompt="the red car drives through the desert at night", seconds=1.5),
)
_PAGE, _INK, _FAINT = "#101216", "#eceef2", "#8d94a3"
_GIVEN, _CHANGED = "#ff9d3c", "#4c9dff"
_MOMENTS, _THUMB, _LABEL, _GAP, _MARGIN = 6, 128, 330, 10, 28


@dataclass(frozen=True, kw_only=True)
class Example:
    """A command as typed, what it made, and of each frame how much of it was given: 1 all of it,
    0 nothing, between a part or a middle noise level."""

    command: str
    video: Video
    given: Tensor


def examples(
    generator: Generator, *, steps: int | None = None, minute: float = 60.0
) -> Iterator[Example]:
    """One example of every command, each from what the ones before it made."""
    width, height = generator.model.settings.natives[0]

    def made(command: str, request: Request) -> Example:
        request = replace(request, steps=steps, width=width, height=height)
        seconds = request.seconds or generator.model.settings.seconds
        canvas = lay_out(generator.model, request, (width, height), seconds)
        group = generator.model.codec.config.temporal
        share = 1 - canvas.start.mean((0, 1, 3, 4)).cpu()
        at = torch.arange(canvas.frames) + canvas.first
        video = generator.generate(request)
        return Example(command=command, video=video, given=share[(at + group - 1) // group])

    first = made(f'generate "{CAR}"', Request(prompt=CAR, seconds=2, seed=1))
    yield first
    image = made('image "a dog on a meadow"', tasks.image("a dog on a meadow in the day", seed=2))
    yield image
    clip, still = KnownClip(clip=first.video), KnownClip(clip=image.video)
    last = KnownClip(clip=first.video[-0.08:], at=1.9)
    begin = KnownClip(clip=first.video[:0.08])
    yield made('animate dog.png "a dog runs"', tasks.animate([still], "a dog runs on a meadow in "
               "the day", seconds=2, seed=3))  # fmt: skip
    yield made("animate --image a.png@0 --image b.png@1.9",
               tasks.animate([begin, last], CAR, seconds=2, seed=4))  # fmt: skip
    yield made("extend car.mp4 --seconds 2", tasks.extend(clip, CAR, seconds=2, seed=5))
    yield made(
        "extend car.mp4 --seconds 2 --before",
        tasks.extend(clip, CAR, seconds=2, before=True, seed=6),
    )
    yield made(
        "fill car.mp4 --from 0.7 --to 1.4", tasks.fill(clip, CAR, start=0.7, end=1.4, seed=7)
    )
    mark = np.zeros((height, width), bool)
    mark[: height // 2, : width // 2] = True
    part = KnownClip(clip=first.video, unknown=mark)
    yield made(f"fill car.mp4 --region 0,0,{width // 2},{height // 2}",
               tasks.fill(part, CAR, seed=8))  # fmt: skip
    beach = "a red car drives to the right on the beach in the day"
    other = generator.generate(
        Request(prompt=beach, seconds=2, seed=9, steps=steps, width=width, height=height)
    )
    yield made("connect city.mp4 beach.mp4 --seconds 1.5",
               tasks.connect(clip, KnownClip(clip=other), CAR, seconds=1.5, seed=10))  # fmt: skip
    yield made("loop car.mp4 --seconds 1.5", tasks.loop(clip, CAR, seconds=1.5, seed=11))
    blue = CAR.replace("red", "blue")
    yield made(
        f'edit car.mp4 "{blue[:12]} …" --strength 0.7',
        tasks.edit(clip, blue, strength=0.7, seed=12),
    )
    yield made("storyboard story.yaml (3 shots)", tasks.storyboard(BOARD, seed=13))
    long = "a dog runs to the right on a meadow in the day, the camera follows it"
    yield made(
        f'generate "a dog runs …" --seconds {minute:g}',
        Request(prompt=long, seconds=minute, seed=14),
    )


def page(shown: list[Example]) -> Image.Image:
    """One picture: a row an example, each with its command and six moments."""
    line = _THUMB + 2 * _GAP + 16
    wide = 2 * _MARGIN + _LABEL + _MOMENTS * (_THUMB + _GAP)
    sheet = Image.new("RGB", (wide, 2 * _MARGIN + len(shown) * line), _PAGE)
    pen = ImageDraw.Draw(sheet)
    label, small = (ImageFont.load_default(size=size) for size in (17, 12))
    for row, example in enumerate(shown):
        top = _MARGIN + row * line
        pen.multiline_text(
            (_MARGIN, top + 8), _wrapped(example.command, label), fill=_INK, font=label, spacing=6
        )
        for column, index in enumerate(_moments(len(example.video))):
            left = _MARGIN + _LABEL + column * (_THUMB + _GAP)
            picture = Image.fromarray(example.video.pick([index])[0].numpy())
            picture = picture.resize((_THUMB, round(_THUMB * picture.height / picture.width)))
            sheet.paste(picture, (left, top))
            share = float(example.given[index])
            if share > 0.01:
                box = (left - 3, top - 3, left + _THUMB + 2, top + picture.height + 2)
                pen.rectangle(box, outline=_GIVEN if share > 0.99 else _CHANGED, width=3)
            when = f"{index / example.video.fps:.1f} s"
            pen.text((left, top + picture.height + 4), when, fill=_FAINT, font=small)
    return sheet


def _moments(count: int) -> list[int]:
    """Up to six evenly spaced frames, first and last among them."""
    few = min(_MOMENTS, count)
    return [round(i * (count - 1) / max(1, few - 1)) for i in range(few)]


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > _LABEL - 24:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def main() -> None:
    """Makes the page for the docs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--minute", type=float, default=60.0, help="seconds of the long one")
    arguments = parser.parse_args()
    generator = Generator.load(arguments.model)
    made = list(examples(generator, steps=arguments.steps, minute=arguments.minute))
    page(made).save(arguments.out)


if __name__ == "__main__":
    main()
