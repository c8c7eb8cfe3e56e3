"""`worldreel generate`: checks everything cheap first, then makes one video after another."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel.commands.naming import free, numbered, slug
from worldreel.commands.progress import bar, span
from worldreel.errors import OutputError, PromptError, message
from worldreel.request import Request
from worldreel.shapes import parse_size

if TYPE_CHECKING:
    from worldreel.generator import Finished, Generator

__all__ = ["STILL_SECONDS", "Made", "generate", "make", "tell"]

_MAX_STDIN = 2**24  # characters: an endless stream ends, too long a prompt is counted
STILL_SECONDS = 0.01
"""Shorter than any frame: asks for a single one."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A video on the disk and how it came about."""

    path: Path
    finished: Finished

    def answer(self) -> dict[str, Any]:
        """What `--json` prints."""
        video, recipe = self.finished.video, dict(self.finished.video.recipe or {})
        return {
            "path": str(self.path),
            "seed": recipe.get("seed"),
            "native_size": "{}x{}".format(*self.finished.native),
            "size": f"{video.width}x{video.height}",
            "seconds": round(video.seconds, 6),
            "fps": video.fps,
            "frames": len(video),
            "seconds_taken": round(self.finished.seconds_taken, 3),
            "recipe": recipe,
        }

    def sentence(self) -> str:
        """What a person reads."""
        answer, video = self.answer(), self.finished.video
        length = "one frame" if len(video) == 1 else f"{video.seconds:.3g} s at {video.fps:g} fps"
        native, size = answer["native_size"], answer["size"]
        made = f"{size}" if size == native else f"{size}, made at its native {native}"
        taken = span(self.finished.seconds_taken)
        return f"{self.path}: {made}, {length}, seed {answer['seed']}, in {taken}"


def generate(arguments: argparse.Namespace) -> None:
    """Make the videos; an answer for each as soon as it is written."""
    request = asked(arguments).seeded()
    paths = outputs(arguments, request)
    sheet = _sheet(arguments.contact_sheet, paths[0])
    if sheet is not None and any(sheet.absolute() == path.absolute() for path in paths):
        raise OutputError(message("the contact sheet has the video's name", "give it another"))
    _check(paths, sheet)
    made = []
    with bar("loading the model"):
        from worldreel.generator import Generator

        generator = Generator.load(request.model)
    for path, single in zip(paths, request.each(), strict=True):
        made.append(make(generator, single, path))
        tell(made[-1], as_json=arguments.json, sheet=sheet)
    if sheet is not None:
        _write_sheet(made, sheet)
        if not arguments.json:
            print(f"{sheet}: the contact sheet")


def asked(arguments: argparse.Namespace) -> Request:
    """The request that the options spell out."""
    prompt = arguments.prompt
    if prompt == "-":
        try:
            prompt = sys.stdin.read(_MAX_STDIN)
        except UnicodeDecodeError as error:
            raise PromptError(message("the prompt is no text", "give it in UTF-8")) from error
    size = parse_size(arguments.size) if arguments.size is not None else (None, None)
    names = ("negative", "seconds", "aspect", "fps", "seed", "steps", "guidance", "model", "count")
    settings = {name: getattr(arguments, name) for name in names}
    still = arguments.output is not None and Path(arguments.output).suffix.lower() == ".png"
    if still and arguments.seconds is None:
        settings |= {"seconds": STILL_SECONDS, "fps": None}
    return Request(prompt=prompt, width=size[0], height=size[1], **settings)


def outputs(arguments: argparse.Namespace, request: Request) -> list[Path]:
    """Where the videos go: as told, or named after the prompt beside what is there already."""
    if arguments.output is not None:
        return numbered(Path(arguments.output), request.count)
    path = Path(arguments.folder) / f"{slug(request.prompt)}.mp4"
    return [free(path) for path in numbered(path, request.count)]


def _sheet(asked: str | None, video: Path) -> Path | None:
    """The contact sheet's place: None if there is to be none, beside the video if "" is asked."""
    if asked == "":
        return free(video.with_name(f"{video.stem}-sheet.png"))
    return None if asked is None else Path(asked)


def _check(paths: Sequence[Path], sheet: Path | None) -> None:
    from worldreel.video import check_image, check_output

    for path in paths:
        check_output(path)
    if sheet is not None:
        check_image(sheet)


def make(generator: Generator, request: Request, path: Path) -> Made:
    """One video, generated under a bar and written; raises as the generator and writer do."""
    from worldreel.generator import Finished
    from worldreel.video import check_output

    if path.suffix.lower() == ".png" and request.seconds is not None:
        fps = request.fps or generator.model.settings.fps
        check_output(path, frames=max(1, round(request.seconds * fps)))
    with bar("generating") as show:
        for event in generator.stream(request):
            if isinstance(event, Finished):
                show(1.0, "writing")
                return Made(path=event.video.save(path), finished=event)
            doing = {"denoise": "generating", "decode": "decoding"}.get(event.phase, event.phase)
            show(event.number / max(1, event.steps), doing, event.remaining)
    raise AssertionError("a stream ends with Finished")


def tell(made: Made, *, as_json: bool, sheet: Path | None = None) -> None:
    """The answer on stdout: a sentence, or a line of JSON."""
    if as_json:
        extra = {} if sheet is None else {"contact_sheet": str(sheet)}
        print(json.dumps(made.answer() | extra), flush=True)
    else:
        print(made.sentence(), flush=True)


def _write_sheet(made: Sequence[Made], sheet: Path) -> None:
    from worldreel.video import contact_sheet, save_image

    if len(made) == 1:
        page = contact_sheet(made[0].finished.video)
    else:
        videos = [(_caption(m), m.finished.video) for m in made]
        page = contact_sheet(videos, title=str((videos[0][1].recipe or {}).get("prompt", "")))
    save_image(page, sheet)


def _caption(made: Made) -> str:
    return f"seed {(made.finished.video.recipe or {}).get('seed')}"
