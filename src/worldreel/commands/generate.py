"""`worldreel generate`: checks everything cheap first, then makes one video after another."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from worldreel.commands.naming import free, numbered, slug
from worldreel.commands.progress import bar, span
from worldreel.errors import OutputError, PromptError, RequestError, message, shown
from worldreel.request import Character, Lora, Request
from worldreel.shapes import parse_size
from worldreel.tasks import STILL_SECONDS

if TYPE_CHECKING:
    from worldreel.generator import Finished, Generator
    from worldreel.trust import Trust

__all__ = ["Made", "generate", "make", "produce", "prompt_of", "running", "settings", "tell"]

_MAX_STDIN = 2**24  # characters: an endless stream ends, too long a prompt is counted


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
            "notes": list(self.finished.notes),
            "recipe": recipe,
        }

    def sentence(self) -> str:
        """What a person reads."""
        answer, video = self.answer(), self.finished.video
        length = "one frame" if len(video) == 1 else f"{video.seconds:.3g} s at {video.fps:g} fps"
        native, size = answer["native_size"], answer["size"]
        made = f"{size}" if size == native else f"{size}, made at its native {native}"
        taken = span(self.finished.seconds_taken)
        lines = [f"{self.path}: {made}, {length}, seed {answer['seed']}, in {taken}"]
        return "\n  ".join([*lines, *self.finished.notes])


def generate(arguments: argparse.Namespace) -> None:
    """Make videos from words alone."""
    produce(arguments, asked(arguments))


def produce(arguments: argparse.Namespace, request: Request) -> None:
    """Make the videos of a request; an answer for each as soon as it is written.

    Of several processes that share the work (`torchrun`) the first alone answers and writes.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        _produce(arguments, request)
        return
    if request.seed is None:
        raise RequestError(message("several processes make one video", "give --seed"))
    with ExitStack() as stack:
        if int(os.environ.get("RANK", "0")) > 0:
            folder = stack.enter_context(TemporaryDirectory())
            stack.enter_context(redirect_stdout(io.StringIO()))
            told = vars(arguments) | {"output": None, "folder": folder, "contact_sheet": None}
            arguments = argparse.Namespace(**told)
        _produce(arguments, request)
        from torch import distributed

        distributed.destroy_process_group()


def _produce(arguments: argparse.Namespace, request: Request) -> None:
    paths = outputs(arguments, request)
    sheet = _sheet(arguments.contact_sheet, paths[0])
    if sheet is not None and any(sheet.absolute() == path.absolute() for path in paths):
        raise OutputError(message("the contact sheet has the video's name", "give it another"))
    _check(paths, sheet)
    made = []
    with bar("loading the model"):
        from worldreel.generator import Generator
        from worldreel.trust import Trust

        trust = Trust.load()
        trust.ask(*request.texts)  # a refusal need not wait for the weights
        generator = Generator.load(
            request.model, loras=request.loras, trust=trust, **running(arguments, request)
        )
    # A single request may leave its seed open: an interrupted run of it has one to go on with.
    each = request.each() if request.count > 1 else [request]
    for path, single in zip(paths, each, strict=True):
        made.append(make(generator, single, path, fit=arguments.fit))
        tell(made[-1], as_json=arguments.json, sheet=sheet)
    if sheet is not None:
        _write_sheet(made, sheet, trust)
        if not arguments.json:
            print(f"{sheet}: the contact sheet")


def asked(arguments: argparse.Namespace) -> Request:
    """The request that the options of `generate` spell out."""
    given = settings(arguments) | {"seconds": arguments.seconds, "count": arguments.count}
    still = arguments.output is not None and Path(arguments.output).suffix.lower() == ".png"
    if still and arguments.seconds is None:
        given |= {"seconds": STILL_SECONDS, "fps": None}
    return Request(prompt=prompt_of(arguments), **given)


def prompt_of(arguments: argparse.Namespace) -> str:
    """The prompt as given, or what stdin holds for "-"."""
    prompt: str = arguments.prompt
    if prompt == "-":
        try:
            prompt = sys.stdin.read(_MAX_STDIN)
        except UnicodeDecodeError as error:
            raise PromptError(message("the prompt is no text", "give it in UTF-8")) from error
    return prompt


def settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """What every request has, whatever its task."""
    size = parse_size(arguments.size) if arguments.size is not None else (None, None)
    names = ("negative", "aspect", "fps", "seed", "steps", "guidance", "model", "cache", "fp8")
    given = {name: getattr(arguments, name) for name in names}
    steady = {"auto": None, "on": True, "off": False}[arguments.steady]
    loras = tuple(Lora.parse(text) for text in arguments.lora)
    given |= {"width": size[0], "height": size[1], "steady": steady, "loras": loras}
    return given | {"cast": tuple(map(_character, arguments.character))}


def _character(text: str) -> Character:
    """A character of NAME=FILE: WHAT; its file is read."""
    name, equals, rest = text.partition("=")
    file, _, about = rest.partition(": ")
    if not equals or not name.strip() or not file.strip():
        came = f"the character is {shown(text)}"
        needed = 'write NAME=FILE, such as "Mossy=moss.png" or "Mossy=moss.png: a green owl"'
        raise RequestError(message(came, needed))
    from worldreel.given import known_shown

    return Character(name=name.strip(), known=known_shown(file.strip()), about=about.strip())


def running(arguments: argparse.Namespace, request: Request) -> dict[str, Any]:
    """How the model of a request is to be run."""
    named = {"device": arguments.device, "offload": arguments.offload}
    return named | {"compiled": arguments.compile, "fp8": request.fp8}


def outputs(arguments: argparse.Namespace, request: Request) -> list[Path]:
    """Where the videos go: as told, or named after the prompt beside what is there already."""
    if arguments.output is not None:
        return numbered(Path(arguments.output), request.count)
    suffix = ".png" if request.task == "image" else ".mp4"
    path = Path(arguments.folder) / f"{slug(request.prompt or request.task)}{suffix}"
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


def make(generator: Generator, request: Request, path: Path, *, fit: str = "crop") -> Made:
    """One video, generated under a bar and written; raises as the generator and writer do.

    What is made of a long video stays beside the target until it is finished.
    """
    from worldreel.generator import Finished
    from worldreel.video import check_output

    if path.suffix.lower() == ".png" and request.seconds is not None:
        fps = request.fps or generator.model.settings.fps
        check_output(path, frames=max(1, round(request.seconds * fps)))
    started = time.monotonic()
    unfinished = path.with_name(f".{path.name}.unfinished")
    with bar("generating") as show, _told(unfinished):
        for event in generator.stream(request, fit=fit, unfinished=unfinished):
            if isinstance(event, Finished):
                written = event.video.save(
                    path, progress=lambda done, total: show(done / max(1, total), "writing")
                )
                taken = time.monotonic() - started
                return Made(path=written, finished=replace(event, seconds_taken=taken))
            part = f" part {event.window} of {event.windows}" if event.windows > 1 else ""
            doing = f"generating{part}"
            show(event.number / max(1, event.steps), doing, event.remaining)
    raise AssertionError("a stream ends with Finished")


@contextmanager
def _told(unfinished: Path) -> Iterator[None]:
    """Says, after Ctrl-C, that a long video need not begin anew."""
    try:
        yield
    except KeyboardInterrupt:
        if unfinished.exists():
            print("worldreel: the same command goes on from here.", file=sys.stderr)
        raise


def tell(made: Made, *, as_json: bool, sheet: Path | None = None) -> None:
    """The answer on stdout: a sentence, or a line of JSON."""
    if as_json:
        extra = {} if sheet is None else {"contact_sheet": str(sheet)}
        print(json.dumps(made.answer() | extra), flush=True)
    else:
        print(made.sentence(), flush=True)


def _write_sheet(made: Sequence[Made], sheet: Path, trust: Trust) -> None:
    from worldreel.video import contact_sheet, save_image

    if len(made) == 1:
        page = contact_sheet(made[0].finished.video)
    else:
        videos = [(_caption(m), m.finished.video) for m in made]
        page = contact_sheet(videos, title=str((videos[0][1].recipe or {}).get("prompt", "")))
    recipe = made[0].finished.video.recipe or {}
    save_image(page, sheet, seal=trust.derived(recipe, [m.path for m in made]))


def _caption(made: Made) -> str:
    return f"seed {(made.finished.video.recipe or {}).get('seed')}"
