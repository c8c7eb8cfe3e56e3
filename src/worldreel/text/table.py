"""The text table: 128 numbers for each word and word-piece, 3.9 MB in 8 bits.

Looking a row up costs nothing, so the words' meaning comes for free and all the compute goes to
the transformer, which learns what they mean together. Words alike in meaning have rows alike in
direction, whether or not captions ever used them; `distil` says where the rows come from and how
well they do. Every row has unit root mean square, but for those of padding and of unknown signs,
which are zero.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from worldreel.errors import WeightsError
from worldreel.text.tokens import asset

__all__ = ["TextTable", "pooled"]


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """Rows of meaning: `codes` int8 `[V, width]` times `scales` float32 `[V]`."""

    codes: Tensor
    scales: Tensor

    @property
    def size(self) -> int:
        """How many rows there are, the same as `Tokens.size`."""
        return self.codes.shape[0]

    @property
    def width(self) -> int:
        """Numbers a row: 128."""
        return self.codes.shape[1]

    @classmethod
    def load(cls) -> TextTable:
        """The table in the package, on the CPU.

        Raises `WeightsError` if it is missing or not the one that the checksum names.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        try:
            tensors = load(asset("table.safetensors"))
            return cls(codes=tensors["codes"], scales=tensors["scales"].float())
        except (SafetensorError, KeyError, json.JSONDecodeError) as error:
            raise WeightsError(
                "The text table cannot be understood; install worldreel again."
            ) from error

    def to(self, device: torch.device | str) -> TextTable:
        """The same table on another device."""
        return TextTable(codes=self.codes.to(device), scales=self.scales.to(device))

    def embed(self, ids: Tensor | NDArray[np.int64]) -> Tensor:
        """Rows for ids `[B, L]`: float32 `[B, L, width]`, on the table's device."""
        index = torch.as_tensor(ids, dtype=torch.int64, device=self.codes.device)
        return self.codes[index].float() * self.scales[index].unsqueeze(-1)


def pooled(states: Tensor, mask: Tensor | NDArray[np.bool_]) -> Tensor:
    """The mean of each text's rows: states `[B, L, D]`, mask `[B, L]` → `[B, D]`."""
    weight = torch.as_tensor(mask, device=states.device).to(states.dtype).unsqueeze(-1)
    return (states * weight).sum(1) / weight.sum(1).clamp_min(1.0)
