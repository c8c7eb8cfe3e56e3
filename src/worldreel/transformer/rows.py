"""What is done to every patch by itself is done to some patches at a time, on a CPU.

Norms, modulation, feed-forward and what a patch reads in the text mix no patches. In one piece each
of their steps writes a matrix of all patches to memory and reads it again, and large matrices are
given back to the system and got again in between, which costs more than the arithmetic. Some
hundred patches stay in the cache. A GPU, and training, take all at once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 512
"""Patches at a time: enough for matrix products, few enough for their results to stay at hand."""


def by_rows(change: Callable[..., Tensor], x: Tensor, *others: Tensor | None) -> Tensor:
    """`change(x, *others)` of `[B, N, D]`, for some of the N at a time where that is faster.

    `others` are None or `[B, N or 1, …]`; what is 1 there is for all patches. The result is of x's
    shape and type.
    """
    count = x.shape[1]
    if x.is_cuda or count <= ROWS or _learning():
        return change(x, *others)
    made = torch.empty_like(x)
    for i in range(0, count, ROWS):
        rows = slice(i, i + ROWS)
        some = (y if y is None or y.shape[1] == 1 else y[:, rows] for y in others)
        made[:, rows] = change(x[:, rows], *some)
    return made


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root-mean-square norm (Zhang & Sennrich 2019) of `[…, D]`, computed in fp32."""
    if x.is_cuda or _learning():
        return F.rms_norm(x.float(), x.shape[-1:], weight.float(), eps).to(x.dtype)
    exact, scale = x.float(), weight.float()
    size = torch.linalg.vector_norm(exact, dim=-1, keepdim=True)
    share = size.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return torch.mul(exact, share).mul_(scale).to(x.dtype)


class FeedForward(nn.Sequential):
    """Linear, activation, linear. On a CPU tanh-GELU in bf16 is joined to the first product: by
    itself it takes a third as long as that."""

    def forward(self, x: Tensor) -> Tensor:
        """`[…, D]` → the same."""
        enter, activation, leave = self
        if _joins(x, enter, activation):
            assert isinstance(enter, nn.Linear)
            y = torch.ops.mkldnn._linear_pointwise(x, enter.weight, enter.bias, "gelu", [], "tanh")
        else:
            y = activation(enter(x))
        left: Tensor = leave(y)
        return left


def _joins(x: Tensor, enter: nn.Module, activation: nn.Module) -> bool:
    return (
        x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and type(enter) is nn.Linear  # not one that was replaced by another kind
        and enter.weight.dtype == torch.bfloat16
        and isinstance(activation, nn.GELU)
        and activation.approximate == "tanh"
        and not _learning()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _learning() -> bool:
    return torch.is_grad_enabled() or torch.is_autocast_enabled("cpu")
