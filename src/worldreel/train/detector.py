"""Fits the detector of our own videos: `python -m worldreel.train.detector --real FOLDER`.

    --real FOLDER     photos and clips that are not ours; every file is a source
    --ours FOLDER     videos of ours (.mp4, .npy); made there with the embedded model if it is empty
    --work FOLDER     where the numbers of clips are kept: an interrupted run goes on
    --output FILE     where the result goes
    --held WORD       real sources with this in their name are for testing alone (repeatable)

Clips of a second: ours, real ones (of a photo a slow pan), renders of the world, and what our codec
makes of renders and of real ones; each as it is, as H.264 at CRF 30, and enlarged at CRF 23.
Sources are split by a hash of their name into a training and a test part; what the codec made of a
source goes with it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from worldreel.decoding import DecodedFrames, encoded
from worldreel.generator import Generator
from worldreel.models.model import Model
from worldreel.provenance.detector import WINDOW, Head, kernel, measured, normal, windows
from worldreel.request import Request
from worldreel.video.foreign import read_clip
from worldreel.world.config import WorldConfig
from worldreel.world.render import Renderer
from worldreel.world.scene import sample_scene

__all__ = ["Table", "fit", "main", "part_of", "told"]

_log = logging.getLogger(__name__)
_SIZES = ((128, 128), (160, 96), (96, 160))
_FILMS = {".mp4", ".avi", ".webm", ".mov", ".mkv"}
_PANS, _CUTS, _GROUP = 3, 10, 10
"""Clips of a photo and of a film; clips that are kept in one file."""
_WIDTH, _RIDGE, _FOLDS = 0.002, 1.0, 5
"""γ and λ, chosen by judging the training part's clips by those of other sources."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Frames uint8 `[n, H, W, 3]` of a `kind` (ours, real, render, rebuilt) from a `source`."""

    frames: Tensor
    kind: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """The numbers `[n, N]` of clips, and of each its kind, source, variant and part."""

    numbers: Floats
    kind: NDArray[np.str_]
    source: NDArray[np.str_]
    variant: NDArray[np.str_]
    part: NDArray[np.str_]

    @property
    def ours(self) -> NDArray[np.bool_]:
        return np.asarray(self.kind == "ours")


def part_of(source: str, held: tuple[str, ...] = ()) -> str:
    """train or test, by a hash of the source's name."""
    if any(word in source for word in held):
        return "test"
    share = hashlib.sha256(source.encode()).digest()[0] / 256
    return "train" if share < 0.65 else "test"


def made(folder: Path, count: int) -> None:
    """Makes `count` videos of ours in `folder` if it is empty."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        return
    generator = Generator.load()
    for index in range(count):
        scene = sample_scene(5_000_000 + index, config=WorldConfig.full())
        width, height = _SIZES[index % 3]
        words = scene.captions(np.random.default_rng(index))
        request = Request(
            prompt=words.prompt if index % 2 else words.sentence,
            seed=10_000 + index,
            seconds=1.08,
            width=width,
            height=height,
            steps=(6, 8, 12, 20)[index % 4],
        )
        np.save(folder / f"{index:04d}.npy", generator.generate(request).frames.numpy())


def ours(paths: Iterable[Path]) -> Iterator[Clip]:
    """Up to three seconds of each of our videos."""
    for path in paths:
        whole = torch.from_numpy(np.load(path)) if path.suffix == ".npy" else read_clip(path).frames
        for start in range(0, min(len(whole), 3 * WINDOW) - WINDOW + 1, WINDOW):
            name = f"ours {path.parent.name}/{path.stem}"
            yield Clip(frames=whole[start : start + WINDOW], kind="ours", source=name)


def real(path: Path) -> Iterator[Clip]:
    """Cuts of a film, or pans over a photo, a second each."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(path.name.encode()).digest()[:4]))
    if path.suffix.lower() in _FILMS:
        film = read_clip(path, seconds=12.0, limit=200).frames
        for start in np.linspace(0, max(0, len(film) - WINDOW), _CUTS).astype(int):
            yield Clip(frames=film[start : start + WINDOW], kind="real", source=path.name)
        return
    with Image.open(path) as picture:  # a file of one's own: no process is needed
        picture.thumbnail((500, 500))
        levels = torch.from_numpy(np.array(picture.convert("RGB")))
    photo = levels.permute(2, 0, 1)[None].float()
    for _ in range(_PANS):
        yield Clip(frames=_pan(photo, rng), kind="real", source=path.name)


def _pan(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """A second of a camera that moves slowly over a photo `[1, 3, H, W]`; now and then it is still,
    or out of focus."""
    width, height = _SIZES[int(rng.integers(3))]
    scale = float(rng.choice([1, 1, 2]))
    size = (round(height * scale), round(width * scale))
    most = min(photo.shape[2] / size[0], photo.shape[3] / size[1])
    zoom = most * rng.uniform(0.35, 1.0)
    moved = rng.normal(size=2) * rng.choice([0.0, 0.01, 0.03])
    centre = rng.uniform(-0.25, 0.25, 2)
    frames = []
    for index in range(WINDOW):
        z = zoom * (1 - 0.004 * index * bool(moved.any()))
        reach = torch.tensor([z * size[1] / photo.shape[3], z * size[0] / photo.shape[2]])
        middle = torch.tensor(centre + moved * index).float().clamp(-1, 1) * (1 - reach)
        theta = torch.cat([torch.diag(reach), middle[:, None]], 1)[None].float()
        grid = F.affine_grid(theta, [1, 3, *size], align_corners=False)
        shown = F.avg_pool2d(photo, 2) if z > 2 else photo
        frames.append(F.grid_sample(shown, grid, padding_mode="reflection", align_corners=False))
    clip = torch.cat(frames)
    if rng.random() < 0.25:  # out of focus, or a small picture enlarged
        small = F.interpolate(clip, scale_factor=float(rng.uniform(0.25, 0.7)), mode="area")
        clip = F.interpolate(small, size=size, mode="bicubic", align_corners=False)
    return clip.clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def renders(first: int, last: int) -> Iterator[Clip]:
    """Clips of the world, by their numbers."""
    renderer = Renderer(unit=96, side=64)
    for index in range(first, last):
        width, height = _SIZES[index % 3]
        scene = sample_scene(7_000_000 + index, config=WorldConfig.full())
        frames = renderer.render(
            [scene], width=width, height=height, frames=WINDOW, fps=12.0
        ).frames[0]
        levels = ((frames.permute(1, 2, 3, 0) + 1) * 127.5).round().clamp(0, 255)
        yield Clip(frames=levels.to(torch.uint8), kind="render", source=f"render {index}")


def rebuilt(clip: Clip, model: Model) -> Clip:
    """What our codec makes of a clip."""
    window = windows(clip.frames)
    frames = clip.frames if not window else window[0].round().to(torch.uint8).permute(0, 2, 3, 1)
    latents = encoded(model.codec, frames)
    decoded = DecodedFrames(model.codec, latents, first=0, count=len(frames))
    return Clip(frames=torch.cat([*decoded.chunks()]), kind="rebuilt", source=clip.source)


def variants(frames: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
    """A clip as it is, at CRF 30, and (of some) enlarged at CRF 23 and a single frame."""
    made = {"clean": frames, "crf 30": coded(frames, 30)}
    if rng.random() < 0.3:
        size = [round(n * rng.uniform(1.2, 3)) // 2 * 2 for n in frames.shape[1:3]]
        planes = frames.permute(0, 3, 1, 2).float()
        large = F.interpolate(planes, size=size, mode="bicubic").clamp(0, 255).round()
        made["enlarged, crf 23"] = coded(large.to(torch.uint8).permute(0, 2, 3, 1), 23)
    if rng.random() < 0.2:
        made["one frame"] = frames[len(frames) // 2 :][:1]
    return made


def coded(frames: Tensor, crf: int) -> Tensor:
    """Frames `[n, H, W, 3]` through H.264 and back."""
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2].contiguous()
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.options = {
            "crf": str(crf),
            "preset": "faster",
            "threads": "1",
            "x264-params": "mbtree=0",
        }
        for frame in frames.numpy():
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        out.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as back:
        shown = [f.to_ndarray(format="rgb24") for f in back.decode(video=0)]
    return torch.from_numpy(np.stack(shown))


def gathered(options: argparse.Namespace) -> Table:
    """The numbers of all clips; what is in the folder `work` already is not measured again."""
    folder = Path(options.work)
    folder.mkdir(parents=True, exist_ok=True)
    model = Generator.load().model
    for name, clips in _groups(options, model):
        file = folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.npz"
        if not file.is_file():
            rows, labels = _measured(clips, np.random.default_rng(len(name)))
            np.savez(file.with_suffix(".part.npz"), numbers=np.stack(rows), labels=labels)
            file.with_suffix(".part.npz").replace(file)
            _log.info("measured %s", name)
    return _table(sorted(folder.glob("*.npz")), tuple(options.held))


def _table(paths: Sequence[Path], held: tuple[str, ...]) -> Table:
    kept = [np.load(path, allow_pickle=False) for path in paths]
    numbers = np.concatenate([one["numbers"] for one in kept])
    kinds, sources, names = np.concatenate([one["labels"] for one in kept]).T
    parts = np.array([part_of(source, held) for source in sources])
    return Table(numbers=numbers, kind=kinds, source=sources, variant=names, part=parts)


def _measured(
    clips: Iterable[Clip], rng: np.random.Generator
) -> tuple[list[Floats], NDArray[np.str_]]:
    rows: list[Floats] = []
    labels: list[tuple[str, str, str]] = []
    for clip in clips:
        for name, frames in variants(clip.frames, rng).items():
            for window in windows(frames)[:1]:
                rows.append(measured(window))
                labels.append((clip.kind, clip.source, name))
    return rows, np.array(labels)


def _groups(options: argparse.Namespace, model: Model) -> Iterator[tuple[str, Iterable[Clip]]]:
    """Names of groups of clips, and what makes them when somebody asks."""
    for name in options.ours:
        made(Path(name), options.count)
        paths = sorted(Path(name).iterdir())
        for first in range(0, len(paths), _GROUP):
            yield f"ours {name} {first}", ours(paths[first : first + _GROUP])
    for path in sorted(Path(options.real).iterdir()):
        yield f"real {path.name}", _with_rebuilt(real(path), 3, model)
    for first in range(0, options.count, _GROUP):
        yield f"renders {first}", _with_rebuilt(renders(first, first + _GROUP), 2, model)


def _with_rebuilt(clips: Iterable[Clip], each: int, model: Model) -> Iterator[Clip]:
    for index, clip in enumerate(clips):
        yield clip
        if index % each == 0:
            yield rebuilt(clip, model)


def fit(table: Table) -> Head:
    """What tells the training part's clips apart. The threshold is where one of a hundred of its
    foreign clips lies, each judged by what was fitted to the clips of other sources."""
    train = table.part == "train"
    numbers, ours, sources = table.numbers[train], table.ours[train], table.source[train]
    mean, deviation = numbers.mean(0), numbers.std(0) + 1e-3
    points = normal(numbers, mean, deviation).astype(np.float16).astype(np.float64)
    twice = np.where(table.kind[train] == "rebuilt", 2.0, 1.0)
    heavy = twice * np.where(ours, 1 / ours.mean(), 1 / (1 - ours.mean()))
    folds = np.array([hashlib.sha256(f"fold {s}".encode()).digest()[0] % _FOLDS for s in sources])
    crossed = np.zeros(len(points))
    for fold in range(_FOLDS):
        those, here = folds != fold, folds == fold
        weights = _solved(points[those], ours[those], heavy[those])
        crossed[here] = kernel(points[here], points[those], _WIDTH) @ weights
    offset = float(np.quantile(crossed[~ours], 0.99))
    scale = 4 / max(1e-3, float(np.median(crossed[ours])) - offset)
    values = {"mean": mean, "deviation": deviation, "points": points}
    values |= {"weights": _solved(points, ours, heavy), "width": np.array(_WIDTH)}
    return Head(values | {"scale": np.array(scale), "offset": np.array(offset)})


def _solved(points: Floats, ours: NDArray[np.bool_], heavy: Floats) -> Floats:
    """The weights w of (K + λ / heavy) w = ±1."""
    inner = kernel(points, points, _WIDTH) + _RIDGE * np.diag(1 / heavy)
    return np.asarray(np.linalg.solve(inner, np.where(ours, 1.0, -1.0)))


def told(table: Table, odds: Floats, part: str) -> dict[str, object]:
    """What a part's clips give at the threshold (log-odds 0) and at the one at which 1 % of this
    part's foreign clips are above; shares in percent, intervals (95 %) over sources."""
    here = table.part == part
    exact = float(np.quantile(odds[here & ~table.ours], 0.99))
    made: dict[str, object] = {"clips": int(here.sum())}
    for name in sorted(set(table.variant)):
        of = here & (table.variant == name)
        ours, others = of & table.ours, of & ~table.ours
        made[name] = {
            "ours": int(ours.sum()),
            "others": int(others.sum()),
            "found": _share(odds[ours] > 0, table.source[ours]),
            "wrongly": _share(odds[others] > 0, table.source[others]),
            "found at 1 % wrongly": _share(odds[ours] > exact, table.source[ours]),
        } | {
            f"wrongly, {kind}": _share(odds[o] > 0, table.source[o])
            for kind in ("real", "render", "rebuilt")
            if (o := others & (table.kind == kind)).any()
        }
    return made


def _share(hits: NDArray[np.bool_], sources: NDArray[np.str_]) -> list[float]:
    """Percent, and the middle 95 % of it over redrawn sources."""
    names, which = np.unique(sources, return_inverse=True)
    right = np.bincount(which, hits, len(names))
    count = np.bincount(which, minlength=len(names))
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(names), (1000, len(names)))
    shares = right[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(shares, [0.025, 0.975])
    return [round(100 * float(v), 1) for v in (hits.mean(), low, high)]


def main() -> None:
    """Measures, fits, tells, writes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--real", required=True)
    parser.add_argument("--ours", action="append", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--held", action="append", default=[])
    parser.add_argument("--count", type=int, default=220)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    table = gathered(options)
    fitted = fit(table)
    odds = fitted.odds(table.numbers)
    _log.info(json.dumps(told(table, odds, "test"), indent=1))
    real_ones = (table.part == "test") & (table.kind == "real")
    for source in sorted(set(table.source[real_ones])):
        of = real_ones & (table.source == source)
        _log.info("%-60s %3d clips, %d wrongly", source, of.sum(), (odds[of] > 0).sum())
    values = {n: v.astype("f2" if n == "points" else "f4") for n, v in fitted.values.items()}
    np.savez_compressed(options.output, allow_pickle=False, **values)


if __name__ == "__main__":
    main()
