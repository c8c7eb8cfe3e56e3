"""Weights on disk: safetensors, matrices in 8 bits, with a checksum for every file.

A matrix is kept as int8 codes with one fp16 scale a row (its largest entry is 127); everything
else, a small share, is fp16. What that costs is measured in docs/log.md.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from worldreel.errors import WeightsError, message

CODES, SCALES = ".codes", ".scales"


def quantise(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are stored: `[out, in]` matrices become codes and scales."""
    stored: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim == 2 and min(weight.shape) >= 16:
            scale = weight.float().abs().amax(1).clamp_min(1e-8) / 127
            scale = scale.half().clamp_min(2.0**-24)
            codes = (weight.float() / scale.float()[:, None]).round().clamp(-127, 127)
            stored[name + CODES], stored[name + SCALES] = codes.to(torch.int8), scale
        else:
            stored[name] = weight.half()
    return stored


def restore(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `quantise`, up to rounding: fp32 weights."""
    weights: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith(CODES):
            whole = name.removesuffix(CODES)
            weights[whole] = tensor.float() * stored[whole + SCALES].float()[:, None]
        elif not name.endswith(SCALES):
            weights[name] = tensor.float()
    return weights


def write(path: Path, weights: dict[str, Tensor]) -> str:
    """Writes the weights and returns the file's SHA-256."""
    data = save({name: tensor.contiguous() for name, tensor in quantise(weights).items()})
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read(path: Path, sha256: str) -> dict[str, Tensor]:
    """The weights in a file.

    Raises `WeightsError` if it is missing, or not the file that the checksum names.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        came = f"the weights {path.name} are missing"
        needed = "install worldreel again, or name a whole folder"
        raise WeightsError(message(came, needed)) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        came = f"the weights {path.name} are not those that their checksum names"
        raise WeightsError(message(came, "the file is damaged: install worldreel again"))
    try:
        return restore(load(data))
    except SafetensorError as error:
        came = f"the weights {path.name} cannot be read"
        raise WeightsError(message(came, "they must be a safetensors file")) from error
