"""A network that is larger than the GPU's memory: its blocks are streamed to it as they are needed.

A step runs all blocks in order, so the weights of the next block can travel while the present one
works. They lie in host memory, page-locked where that is possible, a block in one piece; on the
device are two places of a block's size, one in use and one being filled on a stream of its own:

    copy     ▐ block 1 ▌▐ block 2 ▌▐ block 3 ▌ …
    compute            ▐ block 1 ▌▐ block 2 ▌ …

A block of 14 billion weights' network is 700 MB: 30 ms of a bus of 25 GB/s, and its work on 32,760
patches is longer than that on any GPU. What memory is left keeps some of the blocks for good.
On a CPU the same code copies from memory to memory, which is of no use but to test it.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from worldreel.errors import RequestError, message
from worldreel.transformer.block import Block
from worldreel.transformer.config import TransformerConfig
from worldreel.transformer.model import Transformer

ALIGNED = 256
"""Bytes that a tensor in a block's piece of memory begins at a multiple of."""
PLACES = 2
"""Places for blocks on the device: one in use, one being filled."""


class Packed:
    """A block's tensors, one after another in one piece of host memory."""

    def __init__(self, block: nn.Module, *, lock: bool) -> None:
        self.tensors = [*block.parameters(), *block.buffers()]
        self.starts: list[int] = []
        self.size = 0
        for tensor in self.tensors:
            self.starts.append(self.size)
            self.size += math.ceil(tensor.nbytes / ALIGNED) * ALIGNED
        self.host = _host(self.size, lock=lock)
        for tensor, start in zip(self.tensors, self.starts, strict=True):
            seen = _view(self.host, tensor, start)
            seen.copy_(tensor.data)
            tensor.data = seen

    def lie_in(self, memory: Tensor) -> None:
        """Makes the block's tensors views of `memory` (`[size]` bytes, on any device)."""
        for tensor, start in zip(self.tensors, self.starts, strict=True):
            tensor.data = _view(memory, tensor, start)


def _view(memory: Tensor, like: Tensor, start: int) -> Tensor:
    return memory[start : start + like.nbytes].view(like.dtype).view(like.shape)


def _host(size: int, *, lock: bool) -> Tensor:
    """Host memory of so many bytes; page-locked (`lock`) if the driver agrees, because only then
    copies run beside the work. torch's own locked memory is rounded up to powers of two."""
    memory = torch.empty(size, dtype=torch.uint8)
    if lock and size:
        runtime: Any = torch.cuda.cudart()
        if int(runtime.cudaHostRegister(memory.data_ptr(), size, 0)) == 0:
            weakref.finalize(memory, runtime.cudaHostUnregister, memory.data_ptr())
    return memory


class Place:
    """Device memory for one block at a time; events say when it is filled and when it is free."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.memory = torch.empty(size, dtype=torch.uint8, device=device)
        self.holds: int | None = None
        on_gpu = device.type == "cuda"
        self.filled = torch.cuda.Event() if on_gpu else None
        self.free = torch.cuda.Event() if on_gpu else None


class Streamed:
    """The blocks of a network that come and go. Made by `stream`; keeps nothing but the places."""

    def __init__(self, blocks: list[Block], device: torch.device) -> None:
        self.device = device
        on_gpu = device.type == "cuda"
        self.blocks = [Packed(block, lock=on_gpu) for block in blocks]
        largest = max(packed.size for packed in self.blocks)
        self.places = [Place(largest, device) for _ in range(min(PLACES, len(blocks)))]
        self.side = torch.cuda.Stream(device) if on_gpu else None
        self.next = 0
        for number, block in enumerate(blocks):
            reads = block.text_attention
            _override(block, "forward", self._around(number, block.forward))
            _override(reads, "read", self._around(number, reads.read))

    def _around(self, number: int, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            with self.here(number):
                return call(*arguments, **named)

        return called

    @contextmanager
    def here(self, number: int) -> Iterator[None]:
        """Within it the block's weights are on the device, and the next ones on their way."""
        place = self._place_of(number)
        if place.filled is not None:
            torch.cuda.current_stream(self.device).wait_event(place.filled)
        packed = self.blocks[number]
        packed.lie_in(place.memory[: packed.size])
        try:
            if len(self.places) > 1:
                self._place_of((number + 1) % len(self.blocks))
            yield
        finally:
            if place.free is not None:
                place.free.record(torch.cuda.current_stream(self.device))
            packed.lie_in(packed.host)

    def _place_of(self, number: int) -> Place:
        """Where a block is or, from now on, is being copied to."""
        for place in self.places:
            if place.holds == number:
                return place
        place = self.places[self.next]
        self.next = (self.next + 1) % len(self.places)
        packed = self.blocks[number]
        with nullcontext() if self.side is None else torch.cuda.stream(self.side):
            if place.free is not None and self.side is not None and place.holds is not None:
                self.side.wait_event(place.free)
            place.memory[: packed.size].copy_(packed.host, non_blocking=True)
            if place.filled is not None:
                place.filled.record(self.side)
        place.holds = number
        return place


def _override(module: nn.Module, name: str, value: Callable[..., Any]) -> None:
    object.__setattr__(module, name, value)


def stream(
    transformer: Transformer, device: str | torch.device, *, resident: int = 0
) -> Streamed | None:
    """Runs a network whose weights are in host memory on `device`, its blocks coming and going.

    Everything but the blocks is moved there, and `resident` of the blocks, spread evenly so that
    copies have time while those work. To be called once, after the weights are as they are to be
    (LoRA, fewer bits) and after `compiled.compile_blocks`. Returns None if all blocks stay.
    """
    device = torch.device(device)
    for name, child in transformer.named_children():
        if name != "blocks":
            child.to(device)
    for tensor in (*transformer.parameters(recurse=False), *transformer.buffers(recurse=False)):
        tensor.data = tensor.data.to(device)
    blocks = [block for block in transformer.blocks if isinstance(block, Block)]
    count = len(blocks) - min(resident, len(blocks))
    coming = {j * len(blocks) // count for j in range(count)} if count else set()
    for i, block in enumerate(blocks):
        if i not in coming:
            block.to(device)
    return Streamed([blocks[i] for i in sorted(coming)], device) if coming else None


def bytes_of(module: nn.Module) -> int:
    """Bytes of a module's parameters and buffers."""
    return sum(t.nbytes for t in (*module.parameters(), *module.buffers()))


def bytes_at_work(config: TransformerConfig, patches: int, *, levels: int = 1) -> int:
    """Bytes that a forward of so many patches needs beside the weights, on a GPU: the widest
    moments of a block, and modulation where each of `levels` patches has a level of its own."""
    attention, feed = 28 * config.width, 4 * config.hidden + 16 * config.width
    return patches * max(attention, feed) + 48 * config.width * levels


def fitting(transformer: Transformer, memory: int, *, at_work: int) -> int:
    """How many blocks can stay on a device with so many bytes of `memory`, of which `at_work` are
    needed for the work itself. Raises `RequestError` if not even two places for blocks fit."""
    blocks = [bytes_of(block) for block in transformer.blocks]
    others = bytes_of(transformer) - sum(blocks)
    left = memory - at_work - others
    if left >= sum(blocks):
        return len(blocks)
    least = PLACES * max(blocks)
    if left < least:
        needed = (at_work + others + least) / 2**30
        came = f"the device has {memory / 2**30:.1f} GB of memory for this"
        raise RequestError(message(came, f"it takes {needed:.1f} GB; ask for less at once"))
    return (left - least) // max(blocks)
