"""Linear layers kept in 8 bits (float8_e4m3fn), for half the memory of bf16.

    W ≈ 2^e · W8        one exponent a row, so that the row's largest entry is in [224, 448)

A float keeps its relative precision at any size, so a power of two loses nothing against a finer
scale, and W8 widened to bf16 times 2^e is exact there: the only error is the rounding to three
bits of mantissa, at most 1/16 a weight, 2.6 % in the mean square. By default only the storage is
8 bits (each layer is widened while it works). `fast` also rounds what goes in, a row at a time,
and multiplies in 8 bits where the GPU can: up to twice the speed, and a second error of that size.

Only the large layers of the blocks change. What every block is told (text, noise levels) stays
exact, as do norms and the layers by which patches enter and leave.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldreel.transformer.model import Transformer

KIND = torch.float8_e4m3fn
LARGEST = 448.0
"""The largest finite number of this kind."""


class Float8Linear(nn.Module):
    """A linear layer whose weight `[out, in]` is 8-bit floats times a power of two a row."""

    def __init__(self, layer: nn.Linear, *, fast: bool = False) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        codes, scale = rounded(layer.weight.detach())
        self.weight = nn.Parameter(codes, requires_grad=False)
        self.scale = nn.Parameter(scale, requires_grad=False)
        self.bias = layer.bias
        self.fast = fast and self.in_features % 16 == 0 and self.out_features % 16 == 0

    def forward(self, x: Tensor) -> Tensor:
        """x `[..., in]` → `[..., out]`, of x's type (under autocast, of autocast's)."""
        device = x.device.type
        if torch.is_autocast_enabled(device):
            x = x.to(torch.get_autocast_dtype(device))
        if self.fast and x.is_cuda and x.dtype == torch.bfloat16 and can_multiply(x.device):
            return self._multiplied(x)
        weight = self.weight.to(x.dtype) * self.scale.to(x.dtype)
        y: Tensor = F.linear(x, weight, None if self.bias is None else self.bias.to(x.dtype))
        return y

    def _multiplied(self, x: Tensor) -> Tensor:
        rows, scale = rounded(x.reshape(-1, self.in_features))
        bias = None if self.bias is None else self.bias.to(x.dtype)
        y: Tensor = torch._scaled_mm(
            rows,
            self.weight.t(),
            scale_a=scale,
            scale_b=self.scale.t(),
            bias=bias,
            out_dtype=x.dtype,
        )
        return y.reshape(*x.shape[:-1], self.out_features)


def rounded(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """`[n, m]` → 8-bit floats `[n, m]` and powers of two `[n, 1]` (fp32) that scale them back."""
    matrix = matrix.float()
    largest = matrix.abs().amax(1, keepdim=True).clamp_min(2.0**-100)
    _, exponent = torch.frexp(largest / LARGEST)  # exact, where a logarithm may be one off
    scale = torch.ldexp(torch.ones_like(largest), exponent)
    return (matrix / scale).clamp(-LARGEST, LARGEST).to(KIND), scale


def can_multiply(device: torch.device) -> bool:
    """Whether a GPU multiplies 8-bit floats itself (Ada, Hopper and later)."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)


def quantise(transformer: Transformer, *, fast: bool = False) -> int:
    """Keeps the linear layers of a transformer's blocks in 8 bits; in place, one by one.

    LoRAs that are to be fused must be in it already; live ones may come before or after.

    Args:
        transformer: of any type and on any device; for inference only from here on.
        fast: also multiply in 8 bits on GPUs that can.

    Returns:
        bytes of memory saved.
    """
    saved = 0
    for module in list(transformer.blocks.modules()):
        for name, layer in list(module.named_children()):
            if type(layer) is nn.Linear:
                made = Float8Linear(layer.requires_grad_(False), fast=fast)
                saved += layer.weight.nbytes - made.weight.nbytes - made.scale.nbytes
                setattr(module, name, made)
    return saved
