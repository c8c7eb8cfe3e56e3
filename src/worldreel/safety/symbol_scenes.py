"""Pictures to learn symbols from: drawings set into backgrounds, as a camera would see them.

A drawing gets colours, perhaps an outline, worn paint, a panel (a flag's disc, a poster, a patch of
paint) behind it, a roll of any angle, a perspective and waves; it covers 20 to 48 of the 59 pixels
that the network sees, and sits within 5 pixels of the middle. Then the whole picture is tinted,
blurred, made noisy, compressed, and now and then something stands in front. Look-alikes go the same
way, so nothing but the shape tells. Half of the pictures without a symbol are background alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from worldreel.safety.symbols import LOOKALIKES, SYMBOLS, draw

__all__ = ["SEEN", "SIZES", "Drawings", "backgrounds", "batch", "invented", "place"]

SEEN = 59
"""Pixels a side that the network sees at once."""
SIZES = (20.0, 48.0)
"""Pixels that a symbol may measure there."""
_SIDE = 48
_SHARES = np.array([3.0, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0])
"""How often each symbol is shown."""
_PANEL = 0.62  # of the texture's half side is the drawing; the rest is panel


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """Masks uint8 [n, 48, 48], each with its class: 0 look-alike, 1 … the symbols."""

    masks: Tensor
    classes: Tensor

    @classmethod
    def made(cls, chance: np.random.Generator, *, each: int) -> Drawings:
        """`each` drawings of every symbol and a fifth as many of every look-alike."""
        masks: list[NDArray[np.uint8]] = []
        classes: list[int] = []
        for name in (*SYMBOLS, *LOOKALIKES):
            count = each if name in SYMBOLS else max(1, each // 5)
            masks += [draw(name, chance, side=_SIDE) for _ in range(count)]
            classes += [SYMBOLS.index(name) + 1 if name in SYMBOLS else 0] * count
        return cls(masks=torch.from_numpy(np.stack(masks)), classes=torch.tensor(classes))


def invented(count: int, chance: np.random.Generator, *, side: int = 128) -> Tensor:
    """Backgrounds uint8 [count, 3, side, side] out of nothing: clouds, bars, boxes, discs."""
    from PIL import Image, ImageDraw

    pictures = []
    for _ in range(count):
        coarse = chance.integers(0, 256, (int(chance.integers(2, 12)),) * 2 + (3,), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        pencil = ImageDraw.Draw(image)
        for _ in range(int(chance.integers(0, 30))):
            x, y = chance.uniform(-0.1, 1.1, 2) * side
            w, h = chance.uniform(0.02, 0.5, 2) * side
            colour = tuple(int(v) for v in chance.integers(0, 256, 3))
            match int(chance.integers(4)):
                case 0:
                    pencil.rectangle([x, y, x + w, y + h / 4], fill=colour)
                case 1:
                    pencil.rectangle([x, y, x + w, y + h], outline=colour, width=3)
                case 2:
                    pencil.ellipse([x, y, x + w, y + h], fill=colour)
                case _:
                    end = chance.uniform(0, side, 2)
                    wide = int(chance.integers(1, 9))
                    pencil.line([x, y, float(end[0]), float(end[1])], fill=colour, width=wide)
        pictures.append(np.asarray(image))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()


def backgrounds(
    pictures: Sequence[NDArray[np.uint8]], count: int, chance: np.random.Generator
) -> Tensor:
    """Squares uint8 [count, 3, 128, 128] out of photos and frames [H, W, 3], at many scales."""
    cut = []
    for _ in range(count):
        picture = pictures[int(chance.integers(len(pictures)))]
        high, wide = picture.shape[:2]
        side = int(min(high, wide) * np.exp(chance.uniform(np.log(0.25), 0)))
        y, x = int(chance.integers(high - side + 1)), int(chance.integers(wide - side + 1))
        square = torch.from_numpy(picture[y : y + side, x : x + side].copy())
        reduced = F.interpolate(
            square.permute(2, 0, 1)[None].float(), (128, 128), mode="bilinear", antialias=True
        )
        cut.append(reduced.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(cut)


def _sprites(masks: Tensor, behind: Tensor, chance: np.random.Generator) -> Tensor:
    """Colours for masks uint8 [n, 48, 48] that go before colours `behind` [n, 3, 1, 1]:
    premultiplied rgba [n, 4, S, S] with room around."""
    count = len(masks)
    margin = round(_SIDE * (1 / _PANEL - 1) / 2)
    ink = F.pad(masks[:, None].float() / 255, (margin,) * 4)
    side = ink.shape[-1]
    back = torch.from_numpy(chance.uniform(0, 1, (count, 3, 1, 1)).astype(np.float32))
    fore = torch.from_numpy(chance.uniform(0, 1, (count, 3, 1, 1)).astype(np.float32))
    grey = torch.from_numpy(chance.random((count, 1, 1, 1)) < 0.5)
    dark = torch.from_numpy((chance.random((count, 1, 1, 1)) < 0.6).astype(np.float32))
    fore = torch.where(grey, (1 - dark) * (0.75 + fore / 4) + dark * fore / 4, fore)
    kinds = torch.from_numpy(chance.choice(3, count, p=[0.4, 0.3, 0.3]))
    back = torch.where(kinds.view(count, 1, 1, 1) == 0, behind, back)
    # Ink and what is behind it differ by at least a quarter of the range.
    weights = torch.tensor((0.299, 0.587, 0.114))[None, :, None, None]
    gap = ((fore - back) * weights).sum(1, keepdim=True)
    level = (back * weights).sum(1, keepdim=True)
    way = torch.where((level - 0.5).abs() < 0.2, torch.where(gap >= 0, 1.0, -1.0), 1.0)
    way = torch.where(level >= 0.7, -1.0, way)
    fore = torch.where(gap.abs() < 0.25, (back + way * (0.25 + gap.abs())).clamp(0, 1), fore)
    axis = torch.linspace(-1, 1, side)
    far = (axis[None] ** 2 + axis[:, None] ** 2).sqrt()
    disc = (1.0 - (far - 0.93) * side / 2).clamp(0, 1)
    panel = torch.zeros(count, 1, side, side)
    panel[kinds == 1] = 1.0
    panel[kinds == 2] = disc
    strength = torch.from_numpy(chance.uniform(0.7, 1, (count, 1, 1, 1)).astype(np.float32))
    rgba = torch.cat([back.clamp(0, 1) * panel, panel], 1)
    rgba = _over(rgba, *_edge(ink, chance))
    shade = _coarse(count, side, chance)
    worn = torch.from_numpy(chance.random((count, 1, 1, 1)) < 0.2)
    ink = ink * strength * torch.where(worn, (0.4 + 1.2 * shade).clamp(0, 1), torch.ones(()))
    lit = torch.from_numpy(chance.random((count, 1, 1, 1)) < 0.3)
    fore = torch.where(
        lit, (fore + (shade - 0.5) * 0.3).clamp(0, 1), fore.expand(-1, -1, side, side)
    )
    return _over(rgba, fore, ink)


def _over(rgba: Tensor, colour: Tensor, ink: Tensor) -> Tensor:
    """`colour` painted over premultiplied rgba where there is `ink`."""
    return rgba * (1 - ink) + torch.cat([colour * ink, ink], 1)


def _edge(ink: Tensor, chance: np.random.Generator) -> tuple[Tensor, Tensor]:
    """For one drawing in five an outline around it: its colour and where it is."""
    count = len(ink)
    colour = torch.from_numpy(chance.uniform(0, 1, (count, 3, 1, 1)).astype(np.float32))
    has = torch.from_numpy(chance.random((count, 1, 1, 1)) < 0.2).float()
    reach = int(chance.integers(1, 4))
    return colour, F.max_pool2d(ink, 2 * reach + 1, 1, reach) * has


def _coarse(count: int, side: int, chance: np.random.Generator) -> Tensor:
    """Clouds in 0..1, [count, 1, side, side]."""
    few = chance.random((count, 1, 5, 5)).astype(np.float32)
    return F.interpolate(torch.from_numpy(few), (side, side), mode="bicubic").clamp(0, 1)


def _views(
    count: int, chance: np.random.Generator, *, side: int, sizes: NDArray[np.float64], jitter: float
) -> Tensor:
    """Where each pixel of `side`² falls in the sprite: grids [count, side, side, 2].

    A plane turned by yaw and pitch up to 50 degrees, rolled by any angle, seen from three of its
    own widths away.
    """
    roll = chance.uniform(0, 2 * np.pi, count)
    yaw, pitch = np.clip(chance.normal(0, 0.35, (2, count)), -0.87, 0.87)
    shift = chance.uniform(-jitter, jitter, (count, 2)) / side * 2
    scale = sizes / side
    cr, sr, cy, sy, cp, sp = (f(a) for a in (roll, yaw, pitch) for f in (np.cos, np.sin))
    one, zero = np.ones(count), np.zeros(count)
    turn = np.array([[cr, -sr, zero], [sr, cr, zero], [zero, zero, one]])
    about_y = np.array([[cy, zero, sy], [zero, one, zero], [-sy, zero, cy]])
    about_x = np.array([[one, zero, zero], [zero, cp, -sp], [zero, sp, cp]])
    whole = np.einsum("ijn,jkn,kln->nil", about_x, about_y, turn)
    # Plane (u, v, 0) → space → picture: x = 3 X / (3 + Z); the inverse takes pixels to the plane.
    forward = np.stack([whole[:, :, 0], whole[:, :, 1], np.zeros((count, 3))], 2)
    forward[:, 2] /= 3.0
    forward[:, 2, 2] = 1.0
    middle = np.zeros((count, 3, 3))  # pixels -> picture: shifted, then made larger
    middle[:, 0, 0] = middle[:, 1, 1] = 1 / scale
    middle[:, :2, 2] = -shift / scale[:, None]
    middle[:, 2, 2] = 1.0
    back = torch.from_numpy((np.linalg.inv(forward) @ middle).astype(np.float32))
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    plane = back @ torch.stack([x, y, torch.ones_like(x)]).view(3, -1)
    seen = plane[:, :2] / plane[:, 2:].clamp_min(0.05)
    waves = [
        chance.uniform(0, 0.09, (count, 2, 1)) * (chance.random((count, 1, 1)) < 0.3),
        chance.uniform(1, 3.5, (count, 2, 1)),
        chance.uniform(0, 6.3, (count, 2, 1)),
    ]
    wave, beat, phase = (torch.from_numpy(values.astype(np.float32)) for values in waves)
    seen = (seen + wave * torch.sin(beat * seen.flip(1) + phase)) * _PANEL
    grid: Tensor = seen.transpose(1, 2).reshape(count, side, side, 2)
    return grid


def place(
    masks: Tensor,
    behind: Tensor,
    chance: np.random.Generator,
    *,
    sizes: NDArray[np.float64],
    jitter: float = 5.0,
) -> Tensor:
    """Drawings uint8 [n, 48, 48] set into backgrounds [n, 3, S, S] in 0..1, as a camera sees them.

    Args:
        sizes: [n] pixels that each measures in its picture.
        jitter: pixels that they may be off the middle.
    """
    count, side = len(masks), behind.shape[-1]
    middle = behind[..., side // 3 : side - side // 3, side // 3 : side - side // 3]
    sprites = _sprites(masks, middle.mean((2, 3), keepdim=True), chance)
    grid = _views(count, chance, side=side, sizes=sizes, jitter=jitter)
    # Textures are reduced first where the picture is much smaller, or thin strokes would flicker.
    shown = torch.empty(count, 4, side, side)
    far = torch.from_numpy(sizes < 30)
    for part, texture in ((far, F.avg_pool2d(sprites, 2)), (~far, sprites)):
        if part.any():
            shown[part] = F.grid_sample(texture[part], grid[part], align_corners=False)
    return behind * (1 - shown[:, 3:]) + shown[:, :3]


def spoil(pictures: Tensor, chance: np.random.Generator) -> Tensor:
    """What cameras, codecs and passers-by do to pictures [n, 3, S, S] in 0..1."""
    count, _, side, _ = pictures.shape

    def random(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(chance.uniform(low, high, (count, *shape)).astype(np.float32))

    if side > 20:
        for index in np.flatnonzero(chance.random(count) < 0.15):  # something stands in front
            x, y = chance.integers(0, side, 2)
            w, h = chance.integers(2, side // 5, 2)
            colour = torch.from_numpy(chance.uniform(0, 1, (3, 1, 1)).astype(np.float32))
            pictures[index, :, y : y + h, x : x + w] = colour
    tint = random(0.6, 1.15, 3, 1, 1) * random(0.55, 1.2, 1, 1, 1)
    pictures = pictures * tint + random(-0.08, 0.12, 1, 1, 1)
    grey = random(0, 1, 1, 1, 1) * torch.from_numpy(chance.random((count, 1, 1, 1)) < 0.3)
    pictures = pictures.lerp(pictures.mean(1, keepdim=True).expand_as(pictures), grey)
    blur = random(0.0, 1.0, 1, 1, 1).square() * 1.1
    taps = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-(taps**2) / (2 * blur.view(count, 1).square() + 1e-4))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    flat = F.pad(pictures.reshape(1, 3 * count, side, side), (3,) * 4, mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=3 * count)
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=3 * count)
    pictures = flat.reshape(pictures.shape)
    noise = torch.from_numpy(chance.standard_normal(pictures.shape, np.float32))
    pictures = (pictures + noise * random(0, 0.05, 1, 1, 1)).clamp(0, 1)
    for index in np.flatnonzero(chance.random(count) < 0.3):
        pictures[index] = _compressed(pictures[index], int(chance.integers(15, 80)))
    return pictures


def _compressed(picture: Tensor, quality: int) -> Tensor:
    """A picture [3, S, S] as JPEG leaves it."""
    from PIL import Image

    pixels = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    back = np.asarray(Image.open(file), np.float32) / 255
    return torch.from_numpy(back).permute(2, 0, 1)


def batch(
    drawings: Drawings, behind: Tensor, count: int, chance: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Pictures [count, 3, 59, 59] in 0..1 and their classes: half with a symbol, a quarter with a
    look-alike, a quarter with nothing."""
    picked = torch.from_numpy(chance.integers(len(behind), size=count))
    room = behind.shape[-1] - SEEN + 1
    corners = chance.integers(0, room, (count, 2))
    cuts = [
        behind[int(i), :, y : y + SEEN, x : x + SEEN]
        for i, (y, x) in zip(picked, corners, strict=True)
    ]
    pictures = torch.stack(cuts).float() / 255
    symbols, other = (
        torch.nonzero(drawings.classes > 0)[:, 0],
        torch.nonzero(drawings.classes == 0)[:, 0],
    )
    half, quarter = count // 2, count // 4
    share = torch.from_numpy(_SHARES)[drawings.classes[symbols] - 1].double().numpy()
    chosen = torch.cat(
        [
            symbols[torch.from_numpy(chance.choice(len(symbols), half, p=share / share.sum()))],
            other[torch.from_numpy(chance.integers(len(other), size=quarter))],
        ]
    )
    classes = drawings.classes[chosen]
    low = np.where(classes.numpy() == SYMBOLS.index("sun") + 1, 24.0, SIZES[0])
    sizes = np.exp(chance.uniform(np.log(low), np.log(SIZES[1])))
    pictures[: len(chosen)] = place(
        drawings.masks[chosen], pictures[: len(chosen)], chance, sizes=sizes
    )
    answers = torch.zeros(count, dtype=torch.long)
    answers[: len(chosen)] = classes
    return spoil(pictures, chance), answers
