"""Other people's photos and clips, decoded where a crash or a memory bomb harms nobody.

A process of its own (`reader.py`) opens the file, with limits to its memory and time; what comes
back is plain pixels at a constant rate, already reduced. Whatever happens there, the answer here
is frames or one `MediaError`.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldreel.errors import MediaError, message, shown
from worldreel.recipe import unpack
from worldreel.video.reader import Task
from worldreel.video.video import Video

__all__ = ["Media", "measure", "read_clip", "read_photo"]

TIMEOUT = 300.0
"""Seconds that one file may take."""
_LIMIT = 1080
_IN_MEMORY = 256 * 2**20
# The import path is ours, not what a file beside the user's clip may be called.
_READER = """
import sys
sys.path[:] = sys.argv.pop().split("\\n")
from worldreel.video.reader import main
main()
"""


@dataclass(frozen=True, kw_only=True)
class Media:
    """What a file holds: upright `width` and `height` in square pixels, as given, before any
    reduction; `seconds` is 0 for a photo and None where the file does not say; `fps` its rate."""

    width: int
    height: int
    seconds: float | None
    fps: float


def read_clip(
    path: str | Path,
    *,
    fps: float = 12.0,
    start: float = 0.0,
    seconds: float | None = None,
    limit: int | None = _LIMIT,
) -> Video:
    """The video, animation or picture (one frame) in `path` at `fps` frames a second.

    Args:
        fps: each frame is the one on screen at its middle, as in `Video.resample`.
        start: the second at which to begin.
        seconds: how much to read; all that follows if None.
        limit: pixels that the shorter side is reduced to; None keeps them all.

    The recipe of our own videos is kept when the whole file is read. Raises `MediaError`.
    """
    if not 0 <= start < math.inf or (seconds is not None and not 0 < seconds < math.inf):
        came = f"{seconds} seconds from {start} were asked for"
        raise MediaError(message(came, "the start must be 0 or more and the length more than 0"))
    if not 0 < fps <= 1000:
        came = f"the frame rate is {fps}"
        raise MediaError(message(came, "it must be more than 0 and at most 1000"))
    task = Task(kind="clip", path=str(path), fps=fps, start=start, seconds=seconds, limit=limit)
    video, remark = _frames(task)
    whole = start == 0 and seconds is None
    recipe = unpack(remark) if whole and remark else None
    return Video(video, fps=fps, recipe=recipe)


def read_photo(path: str | Path, *, limit: int | None = _LIMIT, backdrop: str = "white") -> Video:
    """The picture in `path` (of an animation the first) as a video of one frame.

    Args:
        limit: pixels that the shorter side is reduced to; None keeps them all.
        backdrop: the colour that shows through where the picture is transparent.

    Raises `MediaError`.
    """
    task = Task(kind="photo", path=str(path), limit=limit, backdrop=backdrop)
    frames, remark = _frames(task)
    return Video(frames, fps=task.fps, recipe=unpack(remark) if remark else None)


def measure(path: str | Path) -> Media:
    """The size and duration of what is in `path`; raises `MediaError` if it cannot be read."""
    return Media(**_answer(Task(kind="size", path=str(path))))


def _frames(task: Task) -> tuple[Tensor, str | None]:
    """The frames uint8 [T, H, W, 3] and the remark that the file carries."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        target = Path(folder) / "frames"
        values = asdict(task) | {"target": str(target)}
        answer = _answer(Task(**values))
        shape = (answer["frames"], answer["height"], answer["width"], 3)
        # A long clip stays on the disk, whose pages the system may drop; the file itself goes
        # with its last user. Where open files cannot be removed it is read whole.
        if math.prod(shape) > _IN_MEMORY and os.name == "posix":
            pixels: NDArray[np.uint8] = np.memmap(target, np.uint8, "c", shape=shape)
        else:
            pixels = np.fromfile(target, np.uint8).reshape(shape)
        return torch.from_numpy(pixels), answer["remark"]


def _answer(task: Task) -> dict[str, Any]:
    """What the reader says about `task`; `MediaError` for all that can go wrong."""
    path = Path(task.path)
    name = shown(path.name)
    if "\0" in task.path or not path.is_file():
        needed = "give a video or picture file"
        came = f"there is no file {shown(task.path, limit=200)}"
        if "\0" not in task.path and path.is_dir():
            came = f"{shown(task.path, limit=200)} is a folder"
        raise MediaError(message(came, needed))
    ours = "\n".join(p for p in sys.path if p)
    command = [sys.executable, "-P", "-c", _READER, json.dumps(asdict(task)), ours]
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        came = f"{name} took more than {TIMEOUT:g} seconds to read"
        raise MediaError(message(came, "give a shorter or smaller file")) from None
    except OSError as error:
        came = f"{name} cannot be read, for no process can be started"
        raise MediaError(message(came, "close other programs")) from error
    answer: Any = None
    with suppress(ValueError):
        answer = json.loads(ended.stdout)
    if not isinstance(answer, dict):
        came = f"the decoder broke down over {name}"
        raise MediaError(message(came, "it is damaged or needs too much memory or time"))
    if "error" in answer:
        raise MediaError(str(answer["error"]))
    return answer
