"""What a transformer is made of; saved beside its weights."""

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

    def __post_init__(self) -> None:
        assert self.width % self.heads == 0, (self.width, self.heads)
