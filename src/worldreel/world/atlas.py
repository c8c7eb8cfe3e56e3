"""The atlas: every kind of actor of the world, what it is called and what it looks like.

The words (names, synonyms, gaits, sizes) are read without torch, so scenes and captions can be
made anywhere; the pictures are decoded on demand into one tensor for the renderer. All sprites
share one shape: 24 frames of a loop, standing at the bottom centre of a square canvas with 4/128
of padding below the feet, facing right where they have a direction.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from worldreel.errors import WorldError
from worldreel.world.paint import COLOURS, recolour

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["COLOURS", "FRAMES", "ActorKind", "kind", "kinds", "load_sprites", "recolour"]

ASSETS = Path(__file__).parent / "assets"
FRAMES = 24
SIDES = (32, 48, 64, 96, 128)
STORED = 128


@dataclass(frozen=True, kw_only=True)
class ActorKind:
    """One kind of actor."""

    name: str
    """Unique: "woman walking"."""
    noun: str
    """What a caption calls it when the verb says what it does: "woman"."""
    synonyms: tuple[str, ...]
    """Other nouns for it, without article; unique to the noun."""
    group: str
    """person, face, animal, bird, sea, insect, vehicle, aircraft, boat,
    food, thing, shape or prop."""
    medium: str
    """ground, air, water or any."""
    directional: bool
    """Drawn facing right; mirror it to go left. Others look the same either way."""
    gaits: tuple[str, ...]
    """Ways of moving that look right: idle, walk, run, jump, fly, swim, drive, roll, …"""
    recolourable: bool
    """It has paint that can take any of `COLOURS`."""
    level: float
    """Typical brightness of that paint in 0..1, for `recolour`."""
    colours: tuple[str, ...]
    """Its own colours, the main one first."""
    feeling: str | None
    """What a face shows: happy, sad, angry …"""
    width: float
    """Width of the content over the whole loop, as a fraction of the canvas."""
    height: float
    """Height of the content over the whole loop, as a fraction of the canvas."""
    scale: float
    """Typical size (longer side) in a toy world, where a person is 1.0: 0.6 .. 1.4."""
    core: int
    """1 for the about 24 dearest and most distinct kinds, 2 for the next 30, 3 for the rest."""
    frames: int
    """24 for a loop, 1 for a still."""
    seconds: float
    """Natural time of one cycle."""


@cache
def kinds() -> tuple[ActorKind, ...]:
    """All kinds, in the order of the selection; the dearest first."""
    entries: list[dict[str, Any]] = json.loads((ASSETS / "actors.json").read_text("utf-8"))
    for entry in entries:
        entry.update({key: tuple(entry[key]) for key in ("synonyms", "gaits", "colours")})
    return tuple(ActorKind(**entry) for entry in entries)


@cache
def _by_name() -> dict[str, ActorKind]:
    return {entry.name: entry for entry in kinds()}


def kind(name: str) -> ActorKind:
    """The kind of that name.

    Raises:
        WorldError: there is none.
    """
    found = _by_name().get(name)
    if found is None:
        import difflib

        near = difflib.get_close_matches(name, _by_name(), n=1, cutoff=0)[0]
        raise WorldError(f"No actor is called {name!r}; the nearest name is {near!r}.")
    return found


def _strip(archive: zipfile.ZipFile, member: str, mode: str) -> NDArray[np.uint8]:
    """A stored strip as uint8 [T, 128, 128, C]."""
    from PIL import Image

    with archive.open(member) as file:
        picture = np.asarray(Image.open(io.BytesIO(file.read())).convert(mode), np.uint8)
    grid = picture.reshape(picture.shape[0] // STORED, STORED, -1, STORED, len(mode))
    return grid.swapaxes(1, 2).reshape(-1, STORED, STORED, len(mode))


def load_sprites(names: Sequence[str], *, side: int) -> Tensor:
    """The pictures of some kinds.

    Args:
        names: K names of `kinds()`.
        side: pixels of the square canvas: 32, 48, 64, 96 or 128.

    Returns:
        uint8 [K, 24, 5, side, side]: premultiplied red, green, blue, then alpha, then the mask
        of the paint (straight, 0 where nothing can be painted). Stills repeat their one frame.

    Raises:
        WorldError: a name is unknown or the side is not one of the five.
    """
    import torch

    if side not in SIDES:
        near = min(SIDES, key=lambda known: abs(known - side))
        raise WorldError(f"Sprites come {SIDES} pixels wide, not {side}; nearest is {near}.")
    chosen = [kind(name) for name in names]
    out = torch.empty((len(chosen), FRAMES, 5, side, side), dtype=torch.uint8)
    with zipfile.ZipFile(ASSETS / "atlas.zip") as archive:
        for index, entry in enumerate(chosen):
            rgba = torch.from_numpy(_strip(archive, f"{entry.name}.webp", "RGBA").copy())
            pixels = rgba.permute(0, 3, 1, 2).float() / 255
            alpha = pixels[:, 3:]
            mask = torch.zeros_like(alpha)
            if entry.recolourable:
                paint = _strip(archive, f"{entry.name}.paint.webp", "L")
                mask = torch.from_numpy(paint.copy()).permute(0, 3, 1, 2).float() / 255
            out[index] = _resize(torch.cat((pixels[:, :3] * alpha, alpha, mask * alpha), 1), side)
    return out


def _resize(premultiplied: Tensor, side: int) -> Tensor:
    """Area-filter [T, 5, 128, 128] to uint8 [24, 5, side, side]; the mask becomes straight."""
    import torch

    # Row i of the weights says how much of each stored pixel lies under pixel i.
    edges = torch.arange(side + 1) * (STORED / side)
    pixels = torch.arange(STORED)
    under = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    weights = under.clamp(min=0) * (side / STORED)
    small = weights @ premultiplied @ weights.T
    alpha = small[:, 3:4]
    mask = torch.where(alpha > 0, small[:, 4:] / alpha.clamp(min=1e-4), 0)
    straight_mask = torch.cat((small[:, :4], mask), 1).clamp(0, 1)
    stored = (straight_mask * 255).round().to(torch.uint8)
    return stored.expand(FRAMES, -1, -1, -1) if len(stored) == 1 else stored
