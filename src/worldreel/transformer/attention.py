"""Softmax attention, softmax(q·kᵀ / √d)·v, by the best means that the machine has.

    CPU   two matrix products a part, a part being so many queries of a head that their scores
          stay in the cache: no matrix of all scores is ever written to memory
    GPU   a fused kernel: FlashAttention 3 where it is installed (Shah et al. 2024), else cuDNN's,
          else whatever torch has

On a CPU the fused call is slower than the explicit products: 2 to 7 times under bf16 autocast with
few patches, 1.9 times in bf16 with 4,096 (docs/log.md).
"""

from __future__ import annotations

import importlib.util

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import attention
from torch.nn.attention import SDPBackend, sdpa_kernel

SOME = 2**20
"""Scores of a part, for each thread of a CPU: 2 MB in bf16, about what a core's caches hold."""
MANY = 2**25
"""Scores that are made at once while training, where they are kept for the way back anyway, and in
a compiled program, which has no use for our parts."""

CUDNN_FIRST = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]
FLASH_FIRST = [SDPBackend.FLASH_ATTENTION, CUDNN_FIRST[0], *CUDNN_FIRST[2:]]
"""torch's kernels, the preferred first; one that cannot take the inputs is passed over."""


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of queries `[B, heads, N, head]` to keys and values `[B, heads, M, head]`.

    `mask` is true where a key may be seen, of a shape that broadcasts to `[B, heads, N, M]`.
    """
    if q.is_cuda:
        return _fused(q, k, v, mask)
    if mask is not None:
        mask = mask[(None,) * (4 - mask.ndim)]
    learning = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    whole = learning or torch.compiler.is_compiling()
    many = MANY if whole else SOME * torch.get_num_threads()
    if q.shape[:3].numel() * k.shape[2] <= many:
        return _products(q, k, v, mask)
    alike = q.dtype == k.dtype == v.dtype and not torch.is_autocast_enabled("cpu")
    return _in_parts(q, k, v, mask, many=many, reuse=alike and not whole)


def _in_parts(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, *, many: int, reuse: bool
) -> Tensor:
    """`_products` of at most `many` scores at a time: some heads, or some queries of one head.

    With `reuse` all parts are made in the same memory: what is given back to the system after each
    part costs more to get again than the products do.
    """
    k, v = k.contiguous(), v.contiguous()
    (batch, heads, queries, _), keys = q.shape, k.shape[2]
    rows = max(1, min(queries, many // keys))
    group = max(1, min(heads, many // (queries * keys)))
    made = v.new_empty(*q.shape[:3], v.shape[-1])
    q = q * q.shape[-1] ** -0.5 if reuse else q
    room = q.new_empty(2, group * rows * keys) if reuse else None
    for b in range(batch):
        for first in range(0, heads, group):
            some = slice(first, first + group)
            for i in range(0, queries, rows):
                span = slice(i, i + rows)
                seen = _part(mask, b, some, span)
                if room is None:
                    made[b, some, span] = _products(q[b, some, span], k[b, some], v[b, some], seen)
                else:
                    _into(made[b, some, span], q[b, some, span], k[b, some], v[b, some], seen, room)
    return made


def _into(made: Tensor, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, room: Tensor) -> None:
    """Attention of `[heads, N, head]`, the queries scaled already, in the two rows of `room`."""
    shape = (*q.shape[:2], k.shape[1])
    scores, shares = (row[: torch.Size(shape).numel()].view(shape) for row in room)
    torch.bmm(q, k.transpose(1, 2), out=scores)
    if mask is not None:
        scores.masked_fill_(~mask, -1e4)
    torch.softmax(scores, -1, out=shares)
    torch.bmm(shares, v, out=made)


def _part(mask: Tensor | None, clip: int, heads: slice, rows: slice) -> Tensor | None:
    """What `[heads, N, M]` of a mask `[B, heads, N, M]` is for these, any axis of which may be 1
    instead."""
    if mask is None:
        return None
    clip = clip if mask.shape[0] > 1 else 0
    heads = heads if mask.shape[1] > 1 else slice(None)
    return mask[clip, heads, rows if mask.shape[2] > 1 else slice(None)]


def _products(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -1e4)
    mixed: Tensor = scores.softmax(-1).to(v.dtype) @ v
    return mixed


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    with sdpa_kernel(kernels(), set_priority=True):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


_chosen: list[SDPBackend] = []


def kernels() -> list[SDPBackend]:
    """torch's kernels in the order in which they are tried. Found at the first call, which a
    program to be compiled has to make before (it then is a constant)."""
    if not _chosen:
        _chosen.extend(FLASH_FIRST if _flash3() else CUDNN_FIRST)
    return _chosen


def _flash3() -> bool:
    """Whether FlashAttention 3 is here; if so torch's own calls are served by it from now on."""
    if torch.version.hip is not None or not torch.cuda.is_available():
        return False
    if torch.cuda.get_device_capability()[0] != 9:  # its kernels are for Hopper alone
        return False
    if importlib.util.find_spec("flash_attn_interface") is None:
        return False
    try:
        attention.activate_flash_attention_impl("FA3")
    except (AttributeError, ImportError, RuntimeError, ValueError):  # built for another torch
        return False
    return True
