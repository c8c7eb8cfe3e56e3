"""Where a model's networks are while they work.

On a GPU with room for all of them they are simply there. With less, the transformers' blocks are
streamed to it from host memory as they are needed (offload.py), as many of them staying as there
is room for. The text encoder is not needed at the same time; it works on the CPU where the GPU
has no room for it, which takes seconds a prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from worldreel.models import memory
from worldreel.models.offload import fitting, stream
from worldreel.transformer.model import Transformer


@dataclass(frozen=True, kw_only=True)
class Placing:
    """Transformers are read to `read_to`. If that is not `device`, each of them may take `room`
    bytes there, of which `work` are for the work itself."""

    device: torch.device
    read_to: torch.device
    text: torch.device
    room: int = 0
    work: int = 0

    def put(self, transformer: Transformer) -> None:
        """Makes a transformer ready to work, after its weights are as they are to be."""
        if self.read_to != self.device:
            resident = fitting(transformer, self.room, at_work=self.work)
            stream(transformer, self.device, resident=resident)


def placing(
    device: str | torch.device, transformers: Sequence[int], *, text: int, others: int, work: int
) -> Placing:
    """Where networks of so many bytes go.

    Args:
        transformers: bytes of each.
        text: bytes of the text encoder, which has left when the transformers come.
        others: bytes of the codec and the image encoder.
        work: bytes that the work itself takes on a GPU.

    Raises `WeightsError` if even host memory is too small for them.
    """
    device, host = torch.device(device), torch.device("cpu")
    there, whole = memory.free(device), sum(transformers) + others
    if device.type != "cuda":
        memory.require(max(whole, text + others), device, what="this model")
        return Placing(device=device, read_to=device, text=device)
    assert there is not None, "a GPU says what memory it has"
    reads = device if text + others <= 0.95 * there else host
    if whole + work <= there:
        return Placing(device=device, read_to=device, text=reads)
    memory.require(sum(transformers), host, what="this model, streamed to the GPU,")
    room = (there - others - work) // len(transformers) + work
    return Placing(device=device, read_to=host, text=reads, room=room, work=work)
