"""Checkpoints: everything a run needs to go on, written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside the target first and renames, so that an interruption keeps the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())  # or a power cut after the rename leaves an empty file
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def load(path: Path) -> dict[str, Any] | None:
    """The state saved at `path`, or None. Tensors and plain values only: nothing is executed."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


@torch.no_grad()
def grow(module: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Starts `module` from the weights of an earlier, perhaps smaller one; what it could not use.

    A tensor of the same shape is taken as it is. A larger one takes the old values into its first
    rows and columns and keeps its own start in the rest. (New inputs at zero would leave the old
    function untouched; but where new outputs begin at zero as well, neither finds a gradient:
    measured, after 230 steps new channels were still predicted as nothing.) Nothing shrinks.
    """
    left = []
    own = module.state_dict()
    for name, old in weights.items():
        new = own.get(name)
        if (
            new is None
            or new.ndim != old.ndim
            or any(n < o for n, o in zip(new.shape, old.shape, strict=True))
        ):
            left.append(name)
            continue
        new[tuple(slice(n) for n in old.shape)] = old.to(new.dtype)
    return left
