"""Where a model's networks are while they work.

On a GPU with room for all of them they are simply there. With less, the transformers' blocks are
streamed to it from host memory as they are needed (offload.py), as many of them staying as there
is room for. The text encoder is not needed at the same time; it works on the CPU where the GPU
has no room for it, which takes seconds a prompt. What is to be in 8 bits is read to host memory
first, made smaller there, and then goes where the others go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from worldreel.models import memory
from worldreel.models.offload import fitting, stream
from worldreel.models.running import Running
from worldreel.transformer.model import Transformer


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Transformers are read to `read_to`. If they are `streamed`, each of them may take `room`
    bytes on the device, of which `work` are for the work itself."""

    running: Running
    read_to: torch.device
    text: torch.device
    streamed: bool = False
    room: int = 0
    work: int = 0

    def put(self, transformer: Transformer) -> None:
        """Makes a transformer ready to work, after its weights are as they are to be."""
        self.running.prepare(transformer)
        device = self.running.device
        if self.streamed:
            all_go = self.running.offload
            resident = 0 if all_go else fitting(transformer, self.room, at_work=self.work)
            stream(transformer, device, resident=resident)
        elif self.read_to != device:
            transformer.to(device)


def placing(
    running: Running, transformers: Sequence[int], *, text: int, others: int, work: int
) -> Placing:
    """Where networks of so many bytes go.

    Args:
        transformers: bytes of each, as they are read.
        text: bytes of the text encoder, which has left when the transformers come.
        others: bytes of the codec and the image encoder.
        work: bytes that the work itself takes on a GPU.

    Raises `WeightsError` if even host memory is too small for them.
    """
    device, host = running.device, torch.device("cpu")
    kept = [_kept(size, running) for size in transformers]
    there, whole = memory.free(device), sum(kept) + others
    widest = max(full - size for full, size in zip(transformers, kept, strict=True))
    if device.type != "cuda":
        memory.require(max(whole + widest, text + others), device, what="this model")
        return Placing(running=running, read_to=device, text=device, streamed=running.offload)
    assert there is not None, "a GPU says what memory it has"
    reads = device if text + others <= 0.95 * there else host
    if whole + work <= there and not running.offload:
        at_first = host if running.fp8 else device
        return Placing(running=running, read_to=at_first, text=reads)
    memory.require(sum(kept) + widest, host, what="this model, streamed to the GPU,")
    room = (there - others - work) // len(transformers) + work
    return Placing(running=running, read_to=host, text=reads, streamed=True, room=room, work=work)


def _kept(size: int, running: Running) -> int:
    """Bytes of a network of `size` bytes in bf16, once it is in 8 bits: about a thirtieth is not in
    the blocks and stays as it is."""
    return size // 2 + size // 60 if running.fp8 else size
