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

from worldreel.errors import WorldreelError
from worldreel.options import Commands, Parser, add, add_making, add_running, integer, number

__all__ = ["main", "parser"]

USAGE, INTERRUPTED = 2, 130
_LONGEST = 600  # characters of an error

EXAMPLES = """\
examples:
  worldreel generate "a penguin waddles across the snow at night"
  worldreel generate "a red car drives through the desert" -o car.gif --aspect 16:9 --seed 7
  worldreel generate "a happy dog runs on a beach" -n 4 --contact-sheet dogs.png
  worldreel animate photo.jpg "the horse runs to the left"
  worldreel extend car.gif --seconds 4
  worldreel storyboard examples/story.yaml
"""


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
    add_making(commands)
    _recipe(commands)
    _rerun(commands)
    _models(commands)
    _moderate(commands)
    _redteam(commands)
    _inspect(commands)
    _world(commands)
    _evaluate(commands)
    _bench(commands)
    _train(commands)
    _serve(commands)
    _keys(commands)
    return top


def _recipe(commands: Commands) -> None:
    told = "Print how a video was made: prompt, seed, settings, weights"
    command = add(commands, "recipe", told, "rerun", "recipe")
    command.add_argument("file", metavar="FILE", help="a video that worldreel wrote")


def _rerun(commands: Commands) -> None:
    told = "Make a video again from the recipe inside its file"
    command = add(commands, "rerun", told, "rerun", "rerun")
    put = command.add_argument
    put("file", metavar="FILE", help="a video that worldreel wrote")
    put("-o", "--output", metavar="FILE", help="where to (default: beside it, numbered)")
    put("--model", metavar="NAME", help="another model than the recipe names")
    put("--other-weights", action="store_true", help="go on even if the weights have changed")
    add_running(command)
    put("--json", action="store_true", help="answer in JSON")


def _models(commands: Commands) -> None:
    told = "List the models that are here or can be had; pull, convert and check them"
    command = add(commands, "models", told, "models", "models")
    command.add_argument("--json", action="store_true", help="answer in JSON")
    inside = command.add_subparsers(title="commands", metavar="COMMAND")
    told = "Bring a model from the hub, or go on where that stopped"
    pull = add(inside, "pull", told, "models", "pull")
    pull.add_argument(
        "name", metavar="NAME", help="a name that `worldreel models` lists, or OWNER/NAME"
    )
    pull.add_argument("--to", metavar="DIR", help="the folder (default: in the local store)")
    told = "Make safetensors of the .pt and .pth files in a folder"
    convert = add(inside, "convert", told, "models", "convert")
    convert.add_argument("folder", metavar="DIR", help="where they are, and the new files will be")
    told = "Compare every file of a pulled model with its checksum"
    check = add(inside, "check", told, "models", "check")
    check.add_argument("name", metavar="NAME", help="the model")
    for each in (pull, convert, check):
        # Without a default of its own: that would undo a --json before the command's name.
        each.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="answer in JSON"
        )


def _inspect(commands: Commands) -> None:
    told = "Say whether a file was made here, and whether it was changed since"
    command = add(commands, "inspect", told, "inspect", "inspect_files")
    command.add_argument("files", metavar="FILE", nargs="+", help="any file")
    quick = "only what is written in the file, not what its pictures show"
    command.add_argument("--quick", action="store_true", help=quick)
    command.add_argument("--json", action="store_true", help="answer in JSON")


def _moderate(commands: Commands) -> None:
    told = "Tell whether a prompt may be made, and if not, why"
    command = add(commands, "moderate", told, "moderate", "moderate")
    put = command.add_argument
    put("prompt", metavar="PROMPT", nargs="?", help="what the video should show")
    put("--file", metavar="FILE", help="judge every line of a text file")
    put("--policy", metavar="FILE", help="an operator's policy, YAML or JSON")
    put("--json", action="store_true", help="answer in JSON, a line a prompt")


def _redteam(commands: Commands) -> None:
    told = "Attack the prompt policy with disguises, and compare whom it refuses"
    command = add(commands, "redteam", told, "redteam", "redteam")
    put = command.add_argument
    put("--file", metavar="FILE", help="prompts that must be refused, one a line")
    put("--count", type=integer, default=120, metavar="N", help="of ours, without --file (120)")
    put("--policy", metavar="FILE", help="an operator's policy, YAML or JSON")
    put("--seed", type=integer, default=0, metavar="N", help="what disguises are drawn from (0)")
    put("--json", action="store_true", help="answer in JSON")


def _world(commands: Commands) -> None:
    world = commands.add_parser(
        "world",
        help="look at the captioned world that models learn from",
        description="The captioned world that models learn from.",
        allow_abbrev=False,
    )
    inside = world.add_subparsers(title="commands", metavar="COMMAND", required=True)
    told = "Render a scene with its captions and facts"
    command = add(inside, "show", told, "world", "show")
    put = command.add_argument
    put("--seed", metavar="N", type=integer, required=True, help="which scene")
    put("-o", "--output", metavar="FILE", help=".mp4, .gif or .webp (default: world-SEED.mp4)")
    put("--split", choices=("train", "seen", "unseen"), default="train", help="(default: train)")
    which = command.add_mutually_exclusive_group()
    which.add_argument("--full", action="store_true", help="the whole world (default)")
    which.add_argument("--small", action="store_true", help="the small world for CPU training")
    put("--seconds", metavar="S", type=number, help="how long (default: the whole scene)")
    put("--size", metavar="WxH", default="384x384", help="pixels (default: 384x384)")
    put("--fps", metavar="N", type=number, default=24.0, help="frames a second (default: 24)")
    put("--json", action="store_true", help="answer in JSON")


def _evaluate(commands: Commands) -> None:
    told = "Measure how well a model shows what it is told"
    command = add(commands, "evaluate", told, "evaluate", "evaluate")
    put = command.add_argument
    put("--quick", action="store_true", help="short clips, few steps: minutes instead of hours")
    put("--tasks", action="store_true", help="measure extend, fill, loop, storyboards, a minute …")
    put("--model", metavar="NAME", default="embedded", help="a model's name or its folder")
    put("--json", action="store_true", help="answer in JSON")


def _bench(commands: Commands) -> None:
    command = add(commands, "bench", "Measure how fast this machine is", "bench", "bench")
    put = command.add_argument
    put("--model", metavar="NAME", default="embedded", help="a model's name or its folder")
    put("--device", metavar="NAME", default="cpu", help="cpu or cuda (default: cpu)")
    put("--steps", metavar="N", type=integer, help="steps to measure (default: 4)")
    put(
        "--magnitudes",
        action="store_true",
        help="measure what --cache mag goes by instead, and keep it with the model (three videos)",
    )
    put("--json", action="store_true", help="answer in JSON")


def _train(commands: Commands) -> None:
    told = "Train a network, or go on where a run stopped"
    command = add(commands, "train", told, "train", "train")
    put = command.add_argument
    put("network", choices=("codec", "latents", "transformer", "export"), help="the part")
    put("--plan", metavar="NAME", default="cpu", help="which plan (default: cpu)")
    put("--folder", metavar="DIR", required=True, help="where the run keeps everything")
    put("--device", metavar="NAME", help="cpu or cuda (default: cuda where there is one)")
    put("--minutes", metavar="M", type=number, help="train so long instead of the plan's minutes")
    put(
        "--from",
        dest="start",
        metavar="FILE",
        help="begin a new run from these weights (.safetensors), grown where the plan is larger",
    )


def _serve(commands: Commands) -> None:
    told = "Serve the OpenAI Videos API from this machine"
    command = add(commands, "serve", told, "serve", "serve")
    put = command.add_argument
    put("--host", metavar="ADDRESS", default="127.0.0.1", help="where to listen (default: here)")
    put("--port", metavar="N", type=integer, default=8000, help="(default: 8000; 0: any free)")
    put("--workers", metavar="N", type=integer, default=1, help="processes (default: 1)")
    put("--model", metavar="NAME", action="append", help="serve it; the first is the default")
    put("--alias", metavar="NAME=MODEL", action="append", default=[], help="another name for one")
    put("--keys", action="store_true", help="ask for API keys, and keep everybody's videos apart")
    put("--size", metavar="WxH", default="720x1280", help="where none is asked (720x1280)")
    put("--queue", metavar="N", type=integer, default=100, help="videos that may wait (100)")
    put("--drain", metavar="S", type=number, default=30.0, help="to finish work at the end (30)")
    put("--keep", metavar="DAYS", type=number, help="how long results stay (default: for ever)")
    put("--storage", metavar="URL", help="such as s3://BUCKET/PREFIX (default: the folder alone)")
    put("--remote", action="store_true", help="fetch references from public addresses")
    put("--loras", metavar="DIR", help="LoRA files that requests may name")
    put("--previews", action="store_true", help="show videos while they are made, reviewed too")
    _stored(command)


def _keys(commands: Commands) -> None:
    command = add(commands, "keys", "Make, list and remove the server's API keys", "serve", "keys")
    command.add_argument("action", choices=("add", "list", "remove"))
    command.add_argument("name", metavar="NAME", nargs="?", help="whose it is; to remove: its id")
    command.add_argument("--json", action="store_true", help="answer in JSON")
    _stored(command)


def _stored(command: Parser) -> None:
    put = command.add_argument
    put("--folder", metavar="DIR", help="where everything is kept (default: the local store)")
    put("--database", metavar="URL", help="such as postgresql://… (default: SQLite in the folder)")
