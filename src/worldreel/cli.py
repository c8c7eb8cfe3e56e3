"""The command line: words in, exit code out.

Here the arguments are read and errors told; what a command does is in `worldreel.commands`,
imported only once it is known which command it is, because torch takes seconds to import and
`--help` must not. A mistake of the user's is one sentence on stderr and exit code 2. Ctrl-C ends
with 130; files are written all or nothing, so nothing half-written stays behind.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn, TypeAlias

from worldreel.errors import RequestError, WorldreelError, message, shown

__all__ = ["main", "parser"]

USAGE, INTERRUPTED = 2, 130
_LONGEST = 600  # characters of an error

EXAMPLES = """\
examples:
  worldreel generate "a penguin waddles across the snow at night"
  worldreel generate "a red car drives through the desert" -o car.gif --aspect 16:9 --seed 7
  worldreel generate "a happy dog runs on a beach" -n 4 --contact-sheet dogs.png
  worldreel recipe car.gif
"""


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong argument is an error like all others: one sentence."""

    def error(self, message: str) -> NoReturn:  # the name is argparse's
        """Raise what argparse would print."""
        raise RequestError(f"{message.rstrip('.')}; see `{self.prog} --help`.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 (bad input) or 130 (Ctrl-C)."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if not given:
            parser().print_help(sys.stderr)
            return USAGE
        chosen = parser().parse_args(given)
        module = importlib.import_module(f"worldreel.commands.{chosen.module}")
        getattr(module, chosen.function)(chosen)
        sys.stdout.flush()
        return 0
    except WorldreelError as error:
        print(f"worldreel: {_line(str(error))}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("worldreel: interrupted, nothing half-written is left.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`, a pager) has left: silence also what Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _line(text: str) -> str:
    """`text` on one line that a terminal may be given, whatever was in the arguments."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def parser() -> Parser:
    """All commands and their options."""
    from worldreel import __version__

    top = Parser(
        prog="worldreel",
        description="Type a prompt, get a video: made on this machine, by a model that is here.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"worldreel {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _generate(commands)
    _recipe(commands)
    _rerun(commands)
    _models(commands)
    _world(commands)
    _evaluate(commands)
    _train(commands)
    return top


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # argparse has no public name for it


def _add(commands: Commands, name: str, told: str, module: str, function: str) -> Parser:
    command = commands.add_parser(
        name, help=told[0].lower() + told[1:], description=f"{told}.", allow_abbrev=False
    )
    command.set_defaults(module=module, function=function)
    return command


def _generate(commands: Commands) -> None:
    command = _add(commands, "generate", "Make a video from a prompt", "generate", "generate")
    add = command.add_argument
    add("prompt", metavar="PROMPT", help='what it should show; "-" reads it from stdin')
    add(
        "-o",
        "--output",
        metavar="FILE",
        help=".mp4, .gif, .webp, or .png for one frame (default: named after the prompt)",
    )
    add("--folder", metavar="DIR", default=".", help="where to if no -o is given (default: here)")
    add("--seconds", metavar="S", type=number, help="how long, up to 60")
    size = command.add_mutually_exclusive_group()
    size.add_argument("--size", metavar="WxH", help="pixels, 64 to 1920 a side, such as 640x360")
    size.add_argument("--aspect", metavar="W:H", help="shape alone, such as 16:9, 1:1 or 9:16")
    add("--fps", metavar="N", type=number, help="frames a second, up to 60")
    add("--seed", metavar="N", type=integer, help="same seed, same frames (default: drawn)")
    add("--steps", metavar="N", type=integer, help="steps of the sampler: more is finer and slower")
    add("--guidance", metavar="G", type=number, help="how closely to keep to the words")
    add("--negative", metavar="TEXT", default="", help="what it should not show")
    add("--model", metavar="NAME", default="embedded", help="a model's name or its folder")
    add("-n", "--count", metavar="COUNT", type=integer, default=1, help="make several, seeds apart")
    add(
        "--contact-sheet",
        metavar="PNG",
        nargs="?",
        const="",
        help="also a page of stills (default: beside the video)",
    )
    add("--json", action="store_true", help="answer in JSON, one line a video")


def _recipe(commands: Commands) -> None:
    told = "Print how a video was made: prompt, seed, settings, weights"
    command = _add(commands, "recipe", told, "rerun", "recipe")
    command.add_argument("file", metavar="FILE", help="a video that worldreel wrote")


def _rerun(commands: Commands) -> None:
    told = "Make a video again from the recipe inside its file"
    command = _add(commands, "rerun", told, "rerun", "rerun")
    add = command.add_argument
    add("file", metavar="FILE", help="a video that worldreel wrote")
    add("-o", "--output", metavar="FILE", help="where to (default: beside it, numbered)")
    add("--model", metavar="NAME", help="another model than the recipe names")
    add("--other-weights", action="store_true", help="go on even if the weights have changed")
    add("--json", action="store_true", help="answer in JSON")


def _models(commands: Commands) -> None:
    command = _add(commands, "models", "List the models that are here", "models", "models")
    command.add_argument("--json", action="store_true", help="answer in JSON")


def _world(commands: Commands) -> None:
    world = commands.add_parser(
        "world",
        help="look at the captioned world that models learn from",
        description="The captioned world that models learn from.",
        allow_abbrev=False,
    )
    inside = world.add_subparsers(title="commands", metavar="COMMAND", required=True)
    told = "Render a scene with its captions and facts"
    command = _add(inside, "show", told, "world", "show")
    add = command.add_argument
    add("--seed", metavar="N", type=integer, required=True, help="which scene")
    add("-o", "--output", metavar="FILE", help=".mp4, .gif or .webp (default: world-SEED.mp4)")
    add("--split", choices=("train", "seen", "unseen"), default="train", help="(default: train)")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--full", action="store_true", help="the whole world (default)")
    which.add_argument("--small", action="store_true", help="the small world for CPU training")
    add("--seconds", metavar="S", type=number, help="how long (default: the whole scene)")
    add("--size", metavar="WxH", default="384x384", help="pixels (default: 384x384)")
    add("--fps", metavar="N", type=number, default=24.0, help="frames a second (default: 24)")
    add("--json", action="store_true", help="answer in JSON")


def _evaluate(commands: Commands) -> None:
    told = "Measure how well a model shows what it is told"
    command = _add(commands, "evaluate", told, "evaluate", "evaluate")
    add = command.add_argument
    add("--quick", action="store_true", help="short clips, few steps: minutes instead of hours")
    add("--model", metavar="NAME", default="embedded", help="a model's name or its folder")
    add("--json", action="store_true", help="answer in JSON")


def _train(commands: Commands) -> None:
    told = "Train a network, or go on where a run stopped"
    command = _add(commands, "train", told, "train", "train")
    add = command.add_argument
    add("network", choices=("codec", "latents", "transformer", "export"), help="the part")
    add("--plan", metavar="NAME", default="cpu", help="which plan (default: cpu)")
    add("--folder", metavar="DIR", required=True, help="where the run keeps everything")
    add("--device", metavar="NAME", help="cpu or cuda (default: cuda where there is one)")
    add("--minutes", metavar="M", type=number, help="train so long instead of the plan's minutes")


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
