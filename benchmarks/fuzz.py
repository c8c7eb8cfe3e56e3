"""Broken files through `inspect` and frame review: does anything crash, hang or eat memory?

    python benchmarks/fuzz.py [--count 10000] [--kept fuzz.json] [--whole 200] [--seconds 60]

Files of ours (signed MP4, WebP, GIF, PNG, JPEG) and foreign ones (AVI, MKV, TIFF) are broken: bytes
turned, cut, put in, doubled, lengths at their extremes. File number n is always the same. Each goes
through the very functions of the reading processes (manifest, remark, pixels), and its frames
through watermark, fingerprint, detector and the choice of frames to be reviewed, in a child that is
forked for it; there the decoders may die (`died`: in use that is one process of its own, too), but
our own code may not (`failed`), nor may anything take longer than `--seconds` (`hung`). Every
`--whole`-th file, and every one over which a decoder died, goes through `inspect` and a frame
review as users call them. What was done is kept in `--kept`, and the next call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch
from PIL import Image

from worldreel import provenance
from worldreel.errors import MediaError
from worldreel.provenance import seen, worker
from worldreel.provenance.reading import found
from worldreel.request import Request
from worldreel.safety.frames import Chooser
from worldreel.safety.reviewing import FrameReview
from worldreel.trust import Passage, Trust
from worldreel.video import Video, film, reader
from worldreel.video.foreign import read_clip
from worldreel.world.config import WorldConfig
from worldreel.world.render import Renderer
from worldreel.world.scene import sample_scene

assert film and Image  # loaded once, before the children are forked
SIZE = (64, 96)
RECIPE = {"model": "embedded", "seed": 1, "prompt": "a whale", "created": "2026-01-01T00:00:00"}


def sources(folder: Path) -> list[Path]:
    """Files to be broken."""
    scene = sample_scene(3, config=WorldConfig.full())
    drawn = Renderer(unit=64, side=32).render(
        [scene], width=SIZE[1], height=SIZE[0], frames=8, fps=12.0
    )
    levels = ((drawn.frames[0].permute(1, 2, 3, 0) + 1) * 127.5).round().clamp(0, 255)
    whole = Video(levels.to(torch.uint8), fps=12, recipe=RECIPE)
    passage = Passage(Trust(off=frozenset({"frame review"})), Request(prompt="a whale"))
    marked = passage.passed(whole)
    paths = [marked.save(folder / f"a.{suffix}") for suffix in ("mp4", "webp", "gif")]
    still = Video(whole.frames[:1], fps=12, recipe=RECIPE)
    paths.append(passage.passed(still).save(folder / "a.png"))
    still.to_pil()[0].save(folder / "a.jpg")
    provenance.sign(folder / "a.jpg", RECIPE, created=True)
    still.to_pil()[0].save(folder / "a.tiff")
    for name, codec in (("a.avi", "mjpeg"), ("a.mkv", "libx264")):
        with av.open(str(folder / name), "w") as out:
            stream = cast("av.VideoStream", out.add_stream(codec, rate=12))
            stream.width, stream.height = SIZE[1], SIZE[0]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            for frame in whole.frames.numpy():
                out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            out.mux(stream.encode(None))
    return [*paths, *(folder / name for name in ("a.jpg", "a.tiff", "a.avi", "a.mkv"))]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """`data` changed in one to three of the ways in which files break."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 3])):
        how, at = chance.randrange(7), chance.randrange(len(changed) or 1)
        if how == 0:
            for _ in range(chance.randrange(1, 30)):
                if changed:
                    changed[chance.randrange(len(changed))] = chance.randrange(256)
        elif how == 1:
            del changed[at:]
        elif how == 2:
            changed[at:at] = chance.randbytes(chance.randrange(1, 200))
        elif how == 3:
            del changed[at : at + chance.randrange(1, 2000)]
        elif how == 4:  # lengths and counts at their extremes
            value = chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
            changed[at : at + 4] = struct.pack(chance.choice("<>") + "I", value)
        elif how == 5:
            changed[at:at] = data[max(0, at - chance.randrange(1, 5000)) : at]
        else:  # the head, where sizes are said
            place = chance.randrange(min(64, len(changed) or 1))
            changed[place : place + 1] = chance.randbytes(1)
    return bytes(changed)


def looked_through(path: Path, target: Path) -> str:
    """All of what is done with a file, in this process; "shown" or "unreadable"."""
    read = worker.done({"do": "read", "path": str(path), "anchors": ""})
    if "crjson" in read:
        found(read)
    worker.done({"do": "remark", "path": str(path)})
    task = reader.Task(
        kind="clip", path=str(path), target=str(target), fps=12.0, seconds=60.0, limit=480
    )
    try:
        answer = reader._done(task)
    except Exception:  # as in reader.main: one sentence
        return "unreadable"
    shape = (answer["frames"], answer["height"], answer["width"], 3)
    pixels = np.memmap(target, np.uint8, "c", shape=shape)
    video = Video(torch.from_numpy(pixels), fps=12.0)
    chooser = Chooser(fps=video.fps)
    for chunk in video.chunks():
        chooser.choose(chunk)
    chooser.end()
    if shape[1:3] != SIZE or len(path.read_bytes()) % 10 == 0:  # pixels are pixels: not all of them
        seen.seen_in(video, thorough=False)
    return "shown"


def child(path: Path, target: Path, pipe: int) -> None:
    """Looks through a file and says how that ended; never returns."""
    reader._set_limits()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        text = looked_through(path, target)
    except MemoryError:
        text = "memory"
    except BaseException:
        text = "failed\n" + traceback.format_exc()
    os.write(pipe, text.encode()[:60_000])
    os._exit(0)


def forked(path: Path, target: Path, seconds: float) -> tuple[str, int]:
    """How it ended with a file, and the child's largest memory in MB."""
    ours, theirs = os.pipe()
    number = os.fork()
    if not number:
        child(path, target, theirs)
    os.close(theirs)
    text, end = b"", time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([ours], [], [], max(0.0, end - time.monotonic()))
        part = os.read(ours, 65536) if ready else b""
        text += part
        if not part:
            break
    hung = not ready
    if hung:
        os.kill(number, signal.SIGKILL)
    _, _, used = os.wait4(number, 0)
    os.close(ours)
    ended = "hung" if hung else text.decode(errors="replace") or "died"
    return ended, used.ru_maxrss // 1024


def whole(path: Path, review: FrameReview) -> None:
    """As users call it; raises only if that does."""
    provenance.inspect(path)
    try:
        clip = read_clip(path, seconds=10.0, limit=480)
    except MediaError:
        return
    review.review(clip.chunks(), clip.fps)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--kept", default="fuzz.json")
    parser.add_argument("--whole", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Path(options.kept)
    state: dict[str, Any] = {"done": 0, "whole": 0, "ended": {}, "failures": [], "child_mb": 0}
    if kept.is_file():
        state = json.loads(kept.read_text())
    with tempfile.TemporaryDirectory() as name:
        os.environ["WORLDREEL_HOME"] = str(Path(name) / "home")
        run(options, state, Path(name), kept)
    print(json.dumps(state, indent=1))
    sys.exit(bool(state["failures"]))


def run(options: argparse.Namespace, state: dict[str, Any], folder: Path, kept: Path) -> None:
    """Goes on until `--count` files are done."""
    originals = [path.read_bytes() for path in sources(folder)]
    ended = Counter(state["ended"])
    path, target = folder / "broken.bin", folder / "frames"
    path.write_bytes(originals[0])
    looked_through(path, target)  # what is imported on first use is imported here
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with closing(FrameReview(("nudity",))) as review:
        for number in range(state["done"], options.count):
            chance = random.Random(number)
            path.write_bytes(mutated(chance.choice(originals), chance))
            how, memory = forked(path, target, options.seconds)
            ended[how.split("\n")[0]] += 1
            state["child_mb"] = max(state["child_mb"], memory)
            if how == "hung" or how.startswith("failed"):
                state["failures"].append({"number": number, "how": how})
            if how == "died" or number % options.whole == options.whole - 1:
                state["whole"] += 1
                try:
                    whole(path, review)
                except Exception:
                    state["failures"].append({"number": number, "how": traceback.format_exc()})
            target.unlink(missing_ok=True)
            if number % 50 == 49 or number == options.count - 1:
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                state |= {"done": number + 1, "ended": dict(ended), "grown_mb": grown // 1024}
                kept.write_text(json.dumps(state))


if __name__ == "__main__":
    main()
