"""Several GPUs for one video: each has a share of the patches (Ulysses, Jacobs et al. 2023).

Norms, text attention and feed-forward take each patch by itself, so a rank does those of its own
N / R patches. Self-attention needs all patches, but no head needs another: before it, every rank
gives away its patches' queries, keys and values of all heads but H / R and gets those heads of all
patches; after it, they are given back (two all-to-alls, of 4·N·D/R numbers a rank in all).

    patches shared  [B, H, N/R, d]  →  heads shared  [B, H/R, N, d]  →  patches shared

Every rank runs the same program with the same seed and ends with the same velocity, so nothing
else has to know. Weights are not shared out: a rank that has no room for them streams (offload.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from worldreel.errors import RequestError, message
from worldreel.transformer.attention import attend
from worldreel.transformer.block import Block, Pair, SelfAttention, Words, earlier
from worldreel.transformer.model import Transformer
from worldreel.transformer.rotary import rotate


def mesh(device: str = "cuda") -> DeviceMesh | None:
    """All ranks that `torchrun` started, in a row; None if there is one only."""
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    if ranks < 2:
        return None
    if device == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return init_device_mesh(device, (ranks,), mesh_dim_names=("patches",))


def share(transformer: Transformer, row: DeviceMesh) -> None:
    """Shares the patches of every forward among the ranks of `row`, a mesh of one dimension.

    Inputs and velocity are whole on every rank. To be called once, before blocks are compiled or
    streamed. Raises `RequestError` if the heads cannot be shared out evenly.
    """
    ranks, heads = row.size(), transformer.config.heads
    if heads % ranks:
        fits = max(r for r in range(1, ranks) if heads % r == 0)
        came = f"{ranks} GPUs cannot share {heads} heads evenly"
        raise RequestError(message(came, "use a number that divides them", nearest=fits))
    group = row.get_group()
    blocks = [block for block in transformer.blocks if isinstance(block, Block)]
    run = _Run()
    for i, block in enumerate(blocks):
        shared = _Shared(block, group, run, first=i == 0, last=i == len(blocks) - 1)
        object.__setattr__(block, "forward", shared.block)
        object.__setattr__(block.attention, "forward", shared.attention)


@dataclass
class _Run:
    """The forward that is under way: how many patches it has on all ranks together."""

    patches: int = 0


class _Shared:
    """What takes the place of a block's forward and of its self-attention's."""

    def __init__(
        self, block: Block, group: dist.ProcessGroup, run: _Run, *, first: bool, last: bool
    ) -> None:
        self.group, self.run, self.first, self.last = group, run, first, last
        self.rank, self.ranks = dist.get_rank(group), dist.get_world_size(group)
        self.inner: Callable[..., Any] = block.forward
        self.heads: SelfAttention = block.attention

    def block(
        self,
        x: Tensor,
        modulation: Tensor,
        turn: Tensor,
        text: Tensor | Words,
        mask: Tensor | None,
        image: Tensor | None = None,
        span: int = 0,
        past: Pair | None = None,
    ) -> Tensor:
        """A block's forward, of this rank's patches; the first block is given all of them, and the
        last returns all."""
        assert past is None, "patches that follow others are not shared out"
        if self.first:
            self.run.patches = x.shape[1]
            x = self._own(x, 1)
        own = self._own(modulation, 1) if modulation.shape[1] > 1 else modulation
        if mask is not None and mask.shape[1] > 1:
            mask = self._own(mask, 1)
        y: Tensor = self.inner(x, own, self._own(turn, -2), text, mask, image, span)
        return self._whole(y) if self.last else y

    def attention(self, x: Tensor, turn: Tensor, span: int = 0, past: Pair | None = None) -> Tensor:
        """Self-attention of this rank's patches `[B, N/R, D]` to those of all ranks."""
        heads = self.heads
        q, k, v = heads.qkv(x).chunk(3, -1)
        q, k, v = (
            y.unflatten(-1, (heads.heads, -1)).transpose(1, 2)
            for y in (heads.norm_q(q), heads.norm_k(k), v)
        )
        count = self.run.patches
        joint = self._exchange(torch.stack([rotate(q, turn), rotate(k, turn), v]), split=2, join=3)
        q, k, v = joint[..., :count, :]
        y = earlier(q, k, v, span) if span else attend(q, k, v)
        y = F.pad(y, (0, 0, 0, joint.shape[3] - count))
        y = self._exchange(y, split=2, join=1)
        out: Tensor = heads.out(y.transpose(1, 2).flatten(2))
        return out

    def _own(self, x: Tensor, axis: int) -> Tensor:
        """This rank's share along `axis`; zeros fill the last ones up."""
        size = -(-x.shape[axis] // self.ranks)
        start = min(self.rank * size, x.shape[axis])
        own = x.narrow(axis, start, min(size, x.shape[axis] - start))
        missing = size - own.shape[axis]
        if not missing:
            return own
        shape = list(own.shape)
        shape[axis] = missing
        return torch.cat([own, own.new_zeros(shape)], axis)

    def _whole(self, x: Tensor) -> Tensor:
        """The patches of all ranks, from their shares `[B, N/R, D]`."""
        parts = [torch.empty_like(x) for _ in range(self.ranks)]
        dist.all_gather(parts, x.contiguous(), group=self.group)
        return torch.cat(parts, 1)[:, : self.run.patches]

    def _exchange(self, x: Tensor, *, split: int, join: int) -> Tensor:
        """All-to-all: gives each rank its part along `split`, joins what comes along `join`."""
        given = torch.stack(x.chunk(self.ranks, split)).contiguous()
        came = torch.empty_like(given)
        dist.all_to_all_single(came, given, group=self.group)
        return torch.cat(list(came), join)
