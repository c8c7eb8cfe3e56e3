"""A network's blocks compiled, for GPUs: norms, modulation and residual sums become a few kernels.

All blocks are one program, compiled once with the first of them, in half a minute; the whole
network would take as many times as long as it has blocks. It is worth that for many videos of one
size, so it is asked for, never done by itself, and it is not for CPUs,
where it takes minutes and gains little.
"""

from __future__ import annotations

from typing import Any

import torch

from worldreel.transformer.attention import kernels
from worldreel.transformer.block import Block
from worldreel.transformer.model import Transformer


def compile_blocks(transformer: Transformer, **options: Any) -> None:
    """Compiles each block's forward where it is; weights keep their names.

    To be called before `offload.stream`, which moves weights around the compiled blocks, and after
    `parallel.share`. `options` are `torch.compile`'s.
    """
    kernels()  # settled outside of what is compiled
    for block in transformer.blocks:
        assert isinstance(block, Block)
        # The forward, not the module: what is hooked or wrapped around it later stays outside.
        object.__setattr__(block, "forward", torch.compile(block.forward, **options))
