"""What a transformer is made of; saved beside its weights.

The defaults are worldreel's own networks. The fields after `white` are what open weights of the
Wan family have that ours do not, or do otherwise: with them the same class is theirs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """Sizes. `text_width` is the width of the text states it is given."""

    width: int = 384
    layers: int = 8
    heads: int = 6
    hidden: int = 1152
    channels: int = 16
    patch: tuple[int, int, int] = (1, 2, 2)
    text_width: int = 256
    frequencies: int = 256
    gelu: bool = False
    white: bool = True
    """Whether the output is what the velocity has beyond that of white latents (see model.py)."""

    pooled: bool = True
    """Whether the mean of the text joins the modulation."""
    text_gelu: bool = False
    """Whether the layers over the text states have tanh-GELU instead of SiLU."""
    text_norm: bool = True
    """Whether patches are normalised before they attend to the text."""
    beside: int = 0
    """Channels given beside the noisy ones: a mask and known latents, where a network takes what
    it knows as further channels."""
    image_width: int | None = None
    """Width of the states of a given image, which every block attends to beside the text."""
    image_places: int | None = None
    """Number of image states, if each has a learned place of its own (first and last frame)."""
    rates: int = 0
    """Number of frame rates that the network tells apart, if it is told."""
    eps: float = 1e-6
    """Of every norm over patches, queries and keys."""
    exact: bool = False
    """Whether norms, modulation and residual sums are fp32 when the weights are not."""

    def __post_init__(self) -> None:
        assert self.width % self.heads == 0, (self.width, self.heads)
