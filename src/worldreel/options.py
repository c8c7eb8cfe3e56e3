"""The commands that make a video and the options they share; what they do is in commands/.

Argparse alone: `worldreel --help` must not wait for torch.
"""

from __future__ import annotations

import argparse
from typing import NoReturn, TypeAlias

from worldreel.errors import RequestError, message, shown

__all__ = ["Commands", "Parser", "add", "add_making", "add_running", "integer", "number"]


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong argument is an error like all others: one sentence."""

    def error(self, message: str) -> NoReturn:  # the name is argparse's
        """Raise what argparse would print."""
        raise RequestError(f"{message.rstrip('.')}; see `{self.prog} --help`.")


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # argparse has no public name for it


def add(commands: Commands, name: str, told: str, module: str, function: str) -> Parser:
    """A command: what it does in a sentence, and the function in commands/ that does it."""
    command = commands.add_parser(
        name, help=told[0].lower() + told[1:], description=f"{told}.", allow_abbrev=False
    )
    command.set_defaults(module=module, function=function)
    return command


def add_making(commands: Commands) -> None:
    """The commands that make videos, from words or from what is given."""
    _generate(commands)
    _image(commands)
    _animate(commands)
    _extend(commands)
    _fill(commands)
    _connect(commands)
    _loop(commands)
    _edit(commands)
    _storyboard(commands)


def _generate(commands: Commands) -> None:
    command = add(commands, "generate", "Make a video from a prompt", "generate", "generate")
    _prompt(command)
    _seconds(command, "how long; more than the model's window is made part by part")
    command.add_argument(
        "-n", "--count", metavar="COUNT", type=integer, default=1, help="make several, seeds apart"
    )
    _shared(command)


def _image(commands: Commands) -> None:
    command = add(commands, "image", "Make a still: a video of one frame", "tasks", "image")
    _prompt(command)
    _shared(command)


def _animate(commands: Commands) -> None:
    told = "Make a video from a picture, or from several at their times"
    command = add(commands, "animate", told, "tasks", "animate")
    command.add_argument("picture", metavar="PICTURE", nargs="?", help="a photo or a drawing")
    _prompt(command, optional=True)
    command.add_argument(
        "--at", metavar="SECOND", type=number, default=0.0, help="when it appears (default: 0)"
    )
    command.add_argument(
        "--image",
        metavar="FILE@SECOND",
        action="append",
        default=[],
        help="another picture and its time; may be given several times",
    )
    _seconds(command, "how long")
    _shared(command)


def _extend(commands: Commands) -> None:
    told = "Go on where a video ends, or lead up to where it begins"
    command = add(commands, "extend", told, "tasks", "extend")
    _clip(command)
    _prompt(command, optional=True)
    _seconds(command, "how much to add (default: 4)", default=4.0)
    command.add_argument("--before", action="store_true", help="what came before, not after")
    _shared(command)


def _fill(commands: Commands) -> None:
    told = "Make a while of a video anew, or a part of its picture"
    command = add(commands, "fill", told, "tasks", "fill")
    _clip(command)
    _prompt(command, optional=True)
    put = command.add_argument
    put("--from", dest="begin", metavar="SECOND", type=number, help="where to begin")
    put("--to", dest="end", metavar="SECOND", type=number, help="where to end")
    part = command.add_mutually_exclusive_group()
    part.add_argument("--region", metavar="X,Y,W,H", help="pixels of the clip to be made anew")
    part.add_argument("--mask", metavar="FILE", help="a picture of the clip's size, white = anew")
    _shared(command)


def _connect(commands: Commands) -> None:
    told = "Lead from one video to another"
    command = add(commands, "connect", told, "tasks", "connect")
    _clip(command, "first")
    _clip(command, "second")
    _prompt(command, optional=True)
    _seconds(command, "how much to make between them (default: 2)", default=2.0)
    _shared(command)


def _loop(commands: Commands) -> None:
    told = "Lead from a video's end back to its beginning: an endless loop"
    command = add(commands, "loop", told, "tasks", "loop")
    _clip(command)
    _prompt(command, optional=True)
    _seconds(command, "how much to make for the way back (default: 2)", default=2.0)
    _shared(command)


def _edit(commands: Commands) -> None:
    told = "Make a video anew in other words: its motion stays"
    command = add(commands, "edit", told, "tasks", "edit")
    _clip(command)
    _prompt(command)
    command.add_argument(
        "--strength",
        metavar="S",
        type=number,
        default=0.6,
        help="how much may change, 0 to 1 (default: 0.6)",
    )
    _shared(command)


def _storyboard(commands: Commands) -> None:
    told = "Make several shots in one video, with the same cast and style"
    command = add(commands, "storyboard", told, "tasks", "storyboard")
    command.add_argument("story", metavar="STORY.yaml", help="shots, cast, style: see examples/")
    _shared(command)


def _prompt(command: Parser, *, optional: bool = False) -> None:
    told = 'what it should show; "-" reads it from stdin'
    if optional:
        told = "what happens (default: what the clip's own recipe says)"
        command.add_argument("prompt", metavar="PROMPT", nargs="?", default="", help=told)
    else:
        command.add_argument("prompt", metavar="PROMPT", help=told)


def _clip(command: Parser, name: str = "clip") -> None:
    command.add_argument(name, metavar=name.upper(), help="a video of any format, size and rate")


def _seconds(command: Parser, told: str, *, default: float | None = None) -> None:
    command.add_argument("--seconds", metavar="S", type=number, default=default, help=told)


def _shared(command: Parser) -> None:
    """What can be said of any video to be made."""
    put = command.add_argument
    put(
        "-o",
        "--output",
        metavar="FILE",
        help=".mp4, .gif, .webp, or .png for one frame (default: named after the prompt)",
    )
    put("--folder", metavar="DIR", default=".", help="where to if no -o is given (default: here)")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--size", metavar="WxH", help="pixels, 64 to 1920 a side, such as 640x360")
    size.add_argument("--aspect", metavar="W:H", help="shape alone, such as 16:9, 1:1 or 9:16")
    put(
        "--fit",
        choices=("crop", "pad", "stretch"),
        default="crop",
        help="how given pictures of another shape are fitted (default: crop)",
    )
    put(
        "--steady",
        choices=("auto", "on", "off"),
        default="auto",
        help="hold given pictures: auto holds those that the model does not know (default: auto)",
    )
    put("--fps", metavar="N", type=number, help="frames a second, up to 60")
    put("--seed", metavar="N", type=integer, help="same seed, same frames (default: drawn)")
    put("--steps", metavar="N", type=integer, help="steps of the sampler: more is finer and slower")
    put("--guidance", metavar="G", type=number, help="how closely to keep to the words")
    put("--negative", metavar="TEXT", default="", help="what it should not show")
    put("--model", metavar="NAME", default="embedded", help="a model's name or its folder")
    put(
        "--lora",
        metavar="FILE[:WEIGHT]",
        action="append",
        default=[],
        help="a LoRA on the model; may be given several times (@high or @low at the end: for one "
        "of two networks)",
    )
    put(
        "--cache",
        metavar="easy|mag[:E]",
        help="skip steps whose answer can be guessed with an error below E (default: ask always)",
    )
    add_running(command, request=True)
    put(
        "--character",
        metavar="NAME=FILE[: WHAT]",
        action="append",
        default=[],
        help="somebody whom the prompt names: a picture or clip of it, and what it is in words, "
        'such as "Mossy=moss.png: a green owl"; may be given several times',
    )
    put(
        "--contact-sheet",
        metavar="PNG",
        nargs="?",
        const="",
        help="also a page of stills (default: beside the video)",
    )
    put("--json", action="store_true", help="answer in JSON, one line a video")


def add_running(command: Parser, *, request: bool = False) -> None:
    """How a model is run; `request`: with what a recipe tells of that."""
    put = command.add_argument
    if request:
        put(
            "--fp8",
            choices=("memory", "speed"),
            default="",
            help="weights in 8 bits, for half the memory; on new GPUs also twice as fast",
        )
    put("--device", metavar="NAME", default="auto", help="cpu, cuda, cuda:1 … (default: a GPU)")
    put("--offload", action="store_true", help="stream weights to the GPU, to spare its memory")
    put("--compile", action="store_true", help="compile the network: for many videos of one size")


def number(text: str) -> float:
    """A decimal number as typed."""
    try:
        return float(text)
    except ValueError:
        came = message(f"{shown(text)} is no number", "give one such as 4 or 2.5")
        raise argparse.ArgumentTypeError(came) from None


def integer(text: str) -> int:
    """A whole number as typed."""
    try:
        return int(text)
    except ValueError:
        came = message(f"{shown(text)} is no whole number", "give one such as 7")
        raise argparse.ArgumentTypeError(came) from None
