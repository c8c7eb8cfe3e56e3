"""The latents a video was decoded from, kept so that it need never be encoded again.

Encoding a decoded clip at every extension drifts in colour and softens; a video that carries its
latents is extended, filled, looped and edited from them. They travel with the `Video` in memory,
and on the disk in a local store, by the name that the video's recipe gives: a number made from
their own bytes. The store forgets what was used longest ago when it grows above its limit.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

LIMIT = 2**29
"""Bytes that the store may hold: about 5,000 clips of four seconds of the embedded model."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Latents:
    """`tensor` `[1, C, t, h, w]` fp16, of the model with these weights; of the decoded frames the
    video shows `count` from `first` on, at the `native` (width, height) or resampled from it."""

    tensor: Tensor
    weights_sha256: str
    first: int
    count: int
    native: tuple[int, int]

    @property
    def name(self) -> str:
        """What the store calls them: 32 hexadecimal digits of a hash of what they are."""
        shape = tuple(self.tensor.shape)
        told = f"{self.weights_sha256} {self.first} {self.count} {self.native} {shape}"
        digest = hashlib.sha256(told.encode())
        digest.update(self.tensor.contiguous().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()[:32]

    def fits(self, weights_sha256: str, native: tuple[int, int]) -> bool:
        """Whether a model with these weights can go on from them at this size."""
        return self.weights_sha256 == weights_sha256 and self.native == native


def folder() -> Path:
    """The store: `WORLDREEL_HOME`, or the place where the system keeps programs' data."""
    home = os.environ.get("WORLDREEL_HOME")
    if home:
        return Path(home) / "latents"
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "worldreel" / "latents"


def keep(latents: Latents) -> str:
    """Puts latents into the store; their name, or "" where nothing can be written (a video without
    kept latents is encoded when it is extended: softer, but no reason to fail)."""
    name = latents.name
    path = folder() / f"{name}.safetensors"
    beside = path.with_suffix(f".{os.getpid()}.part")
    told = {
        "weights_sha256": latents.weights_sha256,
        "first": str(latents.first),
        "count": str(latents.count),
        "native": "{}x{}".format(*latents.native),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"latents": latents.tensor.contiguous()}, str(beside), metadata=told)
        os.replace(beside, path)
        _forget(path.parent)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        return ""
    return name


def find(name: str) -> Latents | None:
    """The latents of that name, or None if the store has none (or damaged ones)."""
    if len(name) != 32 or not all(c in "0123456789abcdef" for c in name):
        return None  # names come out of strangers' files
    path = folder() / f"{name}.safetensors"
    try:
        with safe_open(str(path), framework="pt") as file:
            told, tensor = file.metadata() or {}, file.get_tensor("latents")
        width, height = told["native"].split("x")
        found = Latents(
            tensor=tensor,
            weights_sha256=told["weights_sha256"],
            first=int(told["first"]),
            count=int(told["count"]),
            native=(int(width), int(height)),
        )
        os.utime(path)  # used just now: forgotten last
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    return found if found.name == name else None


def _forget(store: Path) -> None:
    """Removes what was used longest ago while the store is above its limit."""
    entries = []
    for path in store.glob("*.safetensors"):
        with suppress(OSError):
            told = path.stat()
            entries.append((told.st_mtime, told.st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= LIMIT:
            return
        with suppress(OSError):
            path.unlink()
            total -= size
