"""The process that decodes what strangers made, so that no other has to.

    python -c "… reader.main()" TASK    (see foreign.py, which starts it)

It sets limits to its own memory, time and output, judges the file by its header, and writes raw
RGB frames at a constant rate to the file that it was told; on standard output goes one line of
JSON that says what they are, or why there are none. It may crash: whoever started it is safe.
Nothing here imports torch or numpy, so it starts in a fraction of a second.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from worldreel.errors import MediaError, message, shown
from worldreel.video import photo

__all__ = ["MAX_BYTES", "at_rate", "main"]

MAX_BYTES = 4 * 2**30
"""Raw pixels of one clip, already reduced."""
MAX_WORK = 60_000_000_000
"""Pixels to be decoded for one clip: two minutes of 3840x2160 at 60 frames a second."""
_MEMORY = 4 * 2**30
_CPU_SECONDS = 1200

Frame = TypeVar("Frame")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What to do: `kind` is "clip", "photo" or "size"; frames go to `target`."""

    kind: str
    path: str
    target: str = ""
    fps: float = 12.0
    start: float = 0.0
    seconds: float | None = None
    limit: int | None = None
    backdrop: str = "white"

    @property
    def stop(self) -> float:
        """The second at which the part ends that was asked for."""
        return math.inf if self.seconds is None else self.start + self.seconds


def main() -> None:
    """Does the task of the last argument; always prints one line of JSON, unless it crashes."""
    task = Task(**json.loads(sys.argv[-1]))
    _set_limits()
    name = shown(Path(task.path).name)
    try:
        answer = _done(task)
    except MediaError as error:
        answer = {"error": str(error)}
    except MemoryError:
        needed = "make it smaller or read a part of it"
        answer = {"error": message(f"{name} needs too much memory to be read", needed)}
    except Exception as error:  # decoders meet broken files with errors of every kind
        answer = {"error": _unreadable(Path(task.path), error)}
    print(json.dumps(answer))


def _unreadable(path: Path, error: Exception) -> str:
    """One sentence about a file that no decoder understood."""
    name = shown(path.name)
    if isinstance(error, OSError) and error.errno in (27, 28) and error.filename != str(path):
        return message(f"{name} does not fit into the temporary folder", "make room there")
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return message(f"{name} cannot be opened", "you may not read it, or it is gone")
    if not head:
        return message(f"{name} is an empty file", "give a video or picture")
    with suppress(UnicodeDecodeError):
        if head[:4000].decode().isprintable() or head.decode().split("\n", 1)[0].isprintable():
            return message(f"{name} holds text", "give a video or picture")
    came = f"{name} cannot be read as a video or picture"
    return message(came, "it is damaged or of an unknown kind")


def _set_limits() -> None:
    try:
        import resource
    except ImportError:  # Windows has none of these; the timeout and our own limits remain
        return
    wanted = {"AS": _MEMORY, "CPU": _CPU_SECONDS, "FSIZE": MAX_BYTES, "CORE": 0}
    for name, most in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        with suppress(ValueError, OSError):
            soft, hard = resource.getrlimit(kind)  # type: ignore[arg-type]
            known = [v for v in (soft, hard, most) if v != resource.RLIM_INFINITY]
            resource.setrlimit(kind, (min(known), hard))  # type: ignore[arg-type]


def _done(task: Task) -> dict[str, Any]:
    image = photo.opened(Path(task.path))
    if image is not None:
        with image:
            return _picture(task, image)
    return _film(task)


def _picture(task: Task, image: Image.Image) -> dict[str, Any]:
    """What Pillow reads: photos and animations."""
    moving = photo.moves(image)
    if task.kind == "size":
        turned = 5 <= image.getexif().get(0x0112, 1) <= 8  # orientations on their side
        width, height = image.size[::-1] if turned else image.size
        return {"width": width, "height": height, "seconds": None if moving else 0.0, "fps": 12.0}
    remark = photo.remark(image)
    frames = photo.pictures(image, task.limit, task.backdrop)
    if task.kind == "photo" or not moving:
        if task.start > 0:
            raise MediaError(_nothing_there(task))
        return _written(task, iter([next(frames)[2]]), lambda p: p) | {"remark": remark}
    wanted = at_rate(frames, fps=task.fps, start=task.start, stop=task.stop)
    return _written(task, wanted, lambda p: p) | {"remark": remark}


def _film(task: Task) -> dict[str, Any]:
    """What FFmpeg reads."""
    from worldreel.video import film  # half of the start-up time, which a photo does not need

    with film.opened(Path(task.path)) as found:
        if task.kind == "photo":
            came = f"{shown(Path(task.path).name)} is a video where a picture is needed"
            raise MediaError(message(came, "give a photo, such as a frame of it saved as PNG"))
        if task.kind == "size":
            first = next(found.frames(), None)
            if first is None:
                raise MediaError(_nothing_there(task))
            width, height = found.size(first[2])
            seconds, rate = found.seconds, found.rate
            return {"width": width, "height": height, "seconds": seconds, "fps": rate}
        context = found.stream.codec_context
        _check_work(task, context.width * context.height, found.rate, found.seconds)
        frames = found.frames(task.start)
        wanted = at_rate(frames, fps=task.fps, start=task.start, stop=task.stop)
        answer = _written(task, wanted, lambda f: found.picture(f, task.limit))
        return answer | {"remark": found.remark}


def _check_work(task: Task, pixels: int, rate: float, seconds: float | None) -> None:
    """Refuses what would take too long to decode, as far as the header tells."""
    if seconds is None or rate > 1000:
        return
    length = min(task.stop, seconds) - task.start
    if length * rate * pixels > MAX_WORK:
        came = f"{shown(Path(task.path).name)} is too long to be read whole"
        nearest = f"{math.floor(MAX_WORK / (rate * pixels))} seconds"
        raise MediaError(message(came, "give a shorter part of it", nearest=nearest))


def at_rate(
    frames: Iterable[tuple[float, float, Frame]], *, fps: float, start: float, stop: float
) -> Iterator[Frame]:
    """Of `frames` (from, until, frame) the one on screen at the middle of each 1 / `fps` seconds.

    As `Video.resample` does: frames are repeated or left out, never blended. What is shown before
    the first frame's time is the first frame. Yields nothing if the film ends before `start`.
    """
    most = math.inf if stop == math.inf else max(1, math.floor((stop - start) * fps + 0.5))
    now: Frame | None = None
    made, end = 0, -math.inf
    for begin, until, frame in frames:
        while now is not None and made < most and start + (made + 0.5) / fps < begin - 1e-6:
            yield now
            made += 1
        if made >= most or begin >= stop:
            end = max(end, begin)
            break
        now, end = frame, until
    if now is None or end <= start:
        return
    length = min(end, stop) - start
    count = most if length == math.inf else max(1, math.floor(length * fps + 0.5))
    for _ in range(made, int(min(most, count))):
        yield now


def _written(
    task: Task, frames: Iterator[Frame], pixels: Callable[[Frame], Image.Image]
) -> dict[str, Any]:
    """Writes raw RGB to the target; the answer says how many frames of which size."""
    size: tuple[int, int] = (0, 0)
    count, before, data = 0, None, b""
    with open(task.target, "wb") as file:
        for frame in frames:
            if frame is not before:  # a slow film shows one frame several times
                picture = pixels(frame)
                size = size if count else picture.size
                picture = picture if picture.size == size else picture.resize(size)
                before, data = frame, picture.tobytes()
            if (count + 1) * len(data) > MAX_BYTES:
                came = f"{shown(Path(task.path).name)} is too long to be held"
                nearest = f"{math.floor(count / task.fps)} seconds"
                raise MediaError(message(came, "give a shorter part of it", nearest=nearest))
            file.write(data)
            count += 1
    if count == 0:
        raise MediaError(_nothing_there(task))
    return {"width": size[0], "height": size[1], "frames": count}


def _nothing_there(task: Task) -> str:
    name = shown(Path(task.path).name)
    if task.start > 0:
        return message(f"{name} has no pictures at {task.start:g} seconds", "it is shorter")
    return message(f"{name} has no pictures", "it has 0 frames or is damaged")
