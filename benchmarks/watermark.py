"""How often the watermark is found after what happens to videos, what it costs, and false alarms.

    python benchmarks/watermark.py FOLDER [--size 128] [--clips 20] [--attacks "a;b"]
    python benchmarks/watermark.py --unmarked 10000 [--size 64] [--thorough 1]

FOLDER holds videos (or .npy of uint8 frames) to be marked; without it scenes of the world are
drawn. A line for every attack: share found at a false-positive rate below 1e-6 and share whose id
was read; the same where the id is one of 10,001 that are known. `--unmarked` judges clips without
a mark: cuts of scenes and of noise at random sizes, each under a key of its own, and tells the
smallest rate stated (of N clips about one may have a rate of 1/N, if the bound were tight).
With `--kept FILE` results are kept there, and the next call goes on.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from worldreel.provenance.search import THRESHOLD, Known, find
from worldreel.provenance.watermark import mark
from worldreel.video.read import read_video
from worldreel.world.atlas import SIDES
from worldreel.world.config import WorldConfig
from worldreel.world.render import Renderer
from worldreel.world.scene import sample_scene

Attack = Callable[[Tensor, np.random.Generator], Tensor]


def coded(frames: Tensor, codec: str, crf: int) -> Tensor:
    """Frames `[n, H, W, 3]` through an encoder and back."""
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2].contiguous()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = cast("av.VideoStream", out.add_stream(codec, rate=24))
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.options = {"crf": str(crf), "preset": "medium", "threads": "1"}
        if codec == "libx265":
            stream.options["x265-params"] = "log-level=error:pools=1:frame-threads=1"
        for frame in frames.numpy():
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as back:
        shown = [f.to_ndarray(format="rgb24") for f in back.decode(video=0)]
    return torch.from_numpy(np.stack(shown))


def h264(crf: int) -> Attack:
    return lambda frames, _: coded(frames, "libx264", crf)


def cropped(share: float) -> Attack:
    """A random cut with `share` of each side."""

    def cut(frames: Tensor, rng: np.random.Generator) -> Tensor:
        height, width = (round(n * share) for n in frames.shape[1:3])
        top = int(rng.integers(0, frames.shape[1] - height + 1))
        left = int(rng.integers(0, frames.shape[2] - width + 1))
        return frames[:, top : top + height, left : left + width]

    return cut


def resized(share: float) -> Attack:
    def resize(frames: Tensor, _: np.random.Generator) -> Tensor:
        size = [round(n * share) for n in frames.shape[1:3]]
        planes = frames.permute(0, 3, 1, 2).float()
        made = F.interpolate(planes, size=size, mode="bilinear", antialias=True)
        return made.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)

    return resize


def lit(factor: float, contrast: float = 1.0) -> Attack:
    """Brightness times `factor`; contrast about the middle."""

    def light(frames: Tensor, _: np.random.Generator) -> Tensor:
        made = (frames.float() - 128) * contrast + 128
        return (made * factor).round().clamp(0, 255).to(torch.uint8)

    return light


def blurred(frames: Tensor, _: np.random.Generator) -> Tensor:
    """A Gaussian of one pixel."""
    kernel = torch.exp(-0.5 * torch.arange(-3.0, 4.0) ** 2)
    kernel = (kernel / kernel.sum()).reshape(1, 1, 1, -1)
    planes = frames.permute(0, 3, 1, 2).flatten(0, 1)[:, None].float()
    planes = F.conv2d(F.pad(planes, (3, 3, 3, 3), mode="replicate"), kernel)
    planes = F.conv2d(planes, kernel.transpose(2, 3)).round().to(torch.uint8)
    return planes[:, 0].reshape(len(frames), 3, *frames.shape[1:3]).permute(0, 2, 3, 1)


def dropped(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the frames, at random."""
    return frames[torch.from_numpy(np.flatnonzero(rng.random(len(frames)) < 0.5).clip(0))]


def bordered(frames: Tensor, _: np.random.Generator) -> Tensor:
    """A screenshot: larger by an eighth, inside a window's borders."""
    made = resized(1.125)(frames, np.random.default_rng(0))
    edge = round(0.1 * made.shape[1])
    return F.pad(made, (0, 0, edge, edge, edge, edge), value=40)


def chain(*attacks: Attack) -> Attack:
    def every(frames: Tensor, rng: np.random.Generator) -> Tensor:
        for attack in attacks:
            frames = attack(frames, rng)
        return frames

    return every


ATTACKS: dict[str, Attack] = {
    "none": lambda frames, _: frames,
    "h264 23": h264(23),
    "h264 30": h264(30),
    "h265 30": lambda frames, _: coded(frames, "libx265", 30),
    "crop 0.71": cropped(0.71),
    "crop 0.55": cropped(0.55),
    "resize 0.5": resized(0.5),
    "resize 0.75": resized(0.75),
    "crop 0.71, resize 1.4": chain(cropped(0.71), resized(1.41)),
    "blur 1": blurred,
    "brightness 0.5": lit(0.5),
    "brightness 1.5": lit(1.5),
    "contrast 0.5": lit(1.0, 0.5),
    "contrast 1.5": lit(1.0, 1.5),
    "half dropped": dropped,
    "first half, twice as fast": lambda frames, _: frames[: len(frames) // 2 : 2],
    "h264 23, crop 0.71": chain(h264(23), cropped(0.71)),
    "h264 30, crop 0.71, bright 0.5": chain(h264(30), cropped(0.71), lit(0.5)),
    "h264 40": h264(40),
    "screenshot, h264 23": chain(bordered, h264(23)),
}


def scenes(count: int, size: int, frames: int, first: int = 0) -> Iterator[Tensor]:
    """Clips of the world, every other one 16:9."""
    sprite = max(side for side in SIDES if side <= max(32, size // 2))
    renderer = Renderer(unit=max(48, size * 3 // 4), side=sprite)
    for index in range(first, first + count):
        width = size if index % 2 else round(size * 8 / 9) * 2
        scene = sample_scene(900_000 + index, config=WorldConfig.full())
        made = renderer.render([scene], width=width, height=size, frames=frames, fps=12.0).frames
        yield ((made[0].permute(1, 2, 3, 0) + 1) * 127.5).round().to(torch.uint8)


def clips(options: argparse.Namespace) -> Iterator[Tensor]:
    if options.folder is None:
        yield from scenes(options.clips, options.size, 48)
        return
    for path in sorted(Path(options.folder).iterdir())[: options.clips]:
        if path.suffix == ".npy":
            yield torch.from_numpy(np.load(path))
        elif path.suffix in (".mp4", ".webm", ".gif"):
            yield read_video(path, seconds=4).frames


def survival(options: argparse.Namespace) -> None:
    """The table of attacks, of all clips in the file of results."""
    names = options.attacks.split(";") if options.attacks else list(ATTACKS)
    rows = Results(options.kept)
    for index, frames in enumerate(clips(options)):
        if all((index, name) in rows.done for name in names):
            continue
        rng = np.random.default_rng(index)
        key, word = rng.bytes(32), int(rng.integers(0, 2**63))
        others = [int(n) for n in rng.integers(0, 2**63, 10_000)]
        mark(frames[:1], key=key, word=word)
        start = time.process_time()
        marked = mark(frames, key=key, word=word)
        took = (time.process_time() - start) / len(frames)
        error = (marked.float() - frames.float()).square().mean((1, 2, 3))
        least = float((10 * torch.log10(255**2 / error)).min())
        for name in names:
            if (index, name) in rows.done:
                continue
            attacked = ATTACKS[name](marked, np.random.default_rng(index))
            start = time.process_time()
            blind = find(attacked, key=key)
            seconds = time.process_time() - start
            among = find(attacked, key=key, known=Known([word, *others]))
            wrong = sum(f.word not in (None, word) for f in (blind, among))
            told = [blind.present, blind.word == word, among.present, among.word == word, seconds]
            rows.add(
                {"clip": index, "attack": name, "told": told, "wrong": wrong}
                | {"least": least, "took": took}
            )
    rows.table(names)


class Results:
    """What was measured, a line of JSON for each clip and attack, so that a run can go on."""

    def __init__(self, path: str | None) -> None:
        self.path = None if path is None else Path(path)
        there = self.path is not None and self.path.is_file()
        lines = self.path.read_text().splitlines() if self.path is not None and there else []
        self.rows = [json.loads(line) for line in lines]
        self.done = {(row["clip"], row["attack"]) for row in self.rows}

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self.path is not None:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    def table(self, names: list[str]) -> None:
        rows = self.rows
        print(f"{len({row['clip'] for row in rows})} clips", end="; ")
        print(f"least PSNR of a frame {min(row['least'] for row in rows):.2f} dB", end="; ")
        took = float(np.mean([row["took"] for row in rows]))
        print(f"{1000 * took:.2f} ms of CPU a frame to mark; {sum(r['wrong'] for r in rows)} wrong")
        print(f"{'':32s} any id        among 10,001 known")
        print(f"{'attack':32s} found   read  found   told   seconds   clips")
        for name in names:
            told = [row["told"] for row in rows if row["attack"] == name]
            if not told:
                continue
            shares = [100 * float(np.mean(column)) for column in zip(*told, strict=True)]
            print(f"{name:32s}" + "".join(f"{share:6.0f}%" for share in shares[:4]), end="")
            print(f"{shares[4] / 100:8.1f}{len(told):10d}", flush=True)


def unmarked(options: argparse.Namespace) -> None:
    """False alarms: nothing is marked. Every clip is judged as it is; with `--thorough` N, every
    N-th at all sizes and places as well."""
    kept = Path(options.kept) if options.kept else None
    rates: list[list[float]] = json.loads(kept.read_text()) if kept and kept.is_file() else []
    source, drawn = torch.empty(0), -1
    for index in range(len(rates), options.unmarked):
        rng = np.random.default_rng(index)
        if index // 50 != drawn:
            drawn = index // 50
            source = next(scenes(1, 2 * options.size, 8, first=drawn))
        height, width = (int(n) for n in rng.integers(options.size, options.size * 3 // 2, 2))
        if index % 10 == 0:
            frames = torch.from_numpy(rng.integers(0, 256, (1, height, width, 3), np.uint8))
        else:
            top = int(rng.integers(0, source.shape[1] - height + 1))
            left = int(rng.integers(0, source.shape[2] - width + 1))
            part = source[index % 7 :][:2, top : top + height, left : left + width]
            frames = part.flip(2) if index % 3 else part
        thorough = options.thorough > 0 and index % options.thorough == 0
        found = find(frames, key=rng.bytes(32), thorough=thorough)
        rates.append([found.false_positive_rate, float(thorough)])
        if kept is not None and (index % 100 == 99 or index == options.unmarked - 1):
            kept.write_text(json.dumps(rates))
    for name, which in (("as they are", 0.0), ("at all sizes and places", 1.0)):
        some = [rate for rate, thorough in rates if thorough == which]
        if some:
            print(name, json.dumps(alarms(some), indent=1))


def alarms(rates: list[float]) -> dict[str, object]:
    """How often which rate was stated."""
    told: dict[str, object] = {"clips": len(rates), "found": sum(r < THRESHOLD for r in rates)}
    told["smallest"] = sorted(rates)[:5]
    for level in (1.0, 0.1, 0.01, 0.001):
        told[f"share stated below {level:g}"] = float(np.mean([rate < level for rate in rates]))
    told["log10 of the smallest"] = round(math.log10(max(min(rates), 1e-300)), 2)
    return told


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--attacks", default="")
    parser.add_argument("--unmarked", type=int, default=0)
    parser.add_argument("--thorough", type=int, default=1)
    parser.add_argument("--kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.unmarked:
        unmarked(options)
    else:
        survival(options)


if __name__ == "__main__":
    main()
