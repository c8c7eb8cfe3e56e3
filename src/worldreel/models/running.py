"""How a model's networks are run: on what, in how many bits, streamed or not, compiled or not.

None of it is part of a model. Where the weights are and whether they are compiled changes frames by
no more than rounding; 8 bits (quantised.py) change them visibly, so recipes tell of those.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import torch

from worldreel.errors import RequestError, message, shown
from worldreel.models.compiled import compile_blocks
from worldreel.models.quantised import quantise
from worldreel.transformer.model import Transformer

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Running:
    """`fp8` keeps the weights of blocks in 8 bits, for "memory", or multiplies in 8 bits too where
    the GPU can, for "speed". With `offload` every block is streamed to the device when its turn
    comes, even if there is room for it. `compiled` joins a block's small steps, on a GPU."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    fp8: str = ""
    offload: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.compiled and self.device.type != "cuda":
            came = f"networks were to be compiled for the device {self.device.type}"
            raise RequestError(message(came, "that is worth it on a GPU alone"))

    def prepare(self, transformer: Transformer) -> None:
        """To be called once the weights are as they are to be, and before they are streamed."""
        if self.fp8:
            quantise(transformer, fast=self.fp8 == "speed")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # who has one GPU need not wait
            from worldreel.models.parallel import mesh, share

            row = mesh(self.device.type)
            assert row is not None
            share(transformer, row)
        if self.compiled:
            compile_blocks(transformer)


def device_of(name: str | torch.device) -> torch.device:
    """The device that a person names: auto (a GPU if there is one), cpu, cuda or cuda:N.

    Raises `RequestError` if there is none of that name.
    """
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == AUTO and not there:
        return torch.device("cpu")
    if name in (AUTO, "cuda") and "LOCAL_RANK" in os.environ:  # one of several (parallel.py)
        name = f"cuda:{os.environ['LOCAL_RANK']}"
    name = "cuda" if name == AUTO else name
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        came = f"the device is {shown(str(name))}"
        raise RequestError(message(came, "it may be auto, cpu, cuda or cuda:1", nearest=AUTO))
    if device.type == "cuda" and (device.index or 0) >= there:
        came = f"there {'is' if there == 1 else 'are'} {there} CUDA device{'s' * (there != 1)} here"
        raise RequestError(message(came, f"{device} was asked for", nearest="cpu"))
    return device
