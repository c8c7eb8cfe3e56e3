"""Paint: giving an actor one of eight colours without losing its light and shade.

Every recolourable sprite carries a mask of its paint (a car's body, a woman's shirt). A painted
pixel keeps its tone t (its brightness over the typical brightness of that paint) and takes

    colour · t                          where the sprite is in shade          (t <= 1)
    colour + (1 − colour) · highlight   where it shines                       (t > 1)

so black stays black, the typical tone becomes the colour itself, and highlights stay white.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.88, 0.10, 0.13),
    "orange": (1.00, 0.50, 0.05),
    "yellow": (1.00, 0.84, 0.10),
    "green": (0.14, 0.66, 0.22),
    "blue": (0.10, 0.36, 0.92),
    "purple": (0.50, 0.20, 0.78),
    "pink": (1.00, 0.52, 0.74),
    "white": (0.97, 0.97, 0.98),
}
"""The eight colours of the world: name to straight sRGB in 0..1."""

LUMA = (0.35, 0.45, 0.20)
"""Brightness weights; blue counts for more than the eye gives it, or blue paint looks flat."""


def recolour(sprite: Tensor, colour: str, *, level: float) -> Tensor:
    """Paint a sprite.

    Args:
        sprite: uint8 [..., 5, H, W]: premultiplied red, green, blue, then alpha and paint mask.
        colour: one of `COLOURS`.
        level: typical brightness of the unpainted paint in 0..1 (`ActorKind.level`).

    Returns:
        uint8 [..., 4, H, W]: premultiplied red, green, blue, and alpha.

    Raises:
        KeyError: the colour is not one of the eight.
    """
    import torch

    pixels = sprite.float() / 255.0
    premultiplied, alpha, mask = torch.split(pixels, [3, 1, 1], dim=-3)
    straight = (premultiplied / alpha.clamp(min=1 / 255)).clamp(0, 1)
    weights = torch.tensor(LUMA, device=sprite.device).view(3, 1, 1)
    tone = (straight * weights).sum(dim=-3, keepdim=True) / level
    shine = ((tone - 1) / max(1 / level - 1, 0.25)).clamp(0, 1)
    paint = torch.tensor(COLOURS[colour], device=sprite.device).view(3, 1, 1)
    shade = tone.clamp(max=1) ** 0.9
    painted = paint * shade + (1 - paint) * shine
    mixed = (straight + (painted - straight) * mask) * alpha
    return (torch.cat((mixed, alpha), dim=-3) * 255).round().to(torch.uint8)
