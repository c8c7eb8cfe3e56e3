"""The LoRAs that a request names, and the networks of a model that they are for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from worldreel.errors import RequestError, message
from worldreel.models.lora.apply import apply_loras
from worldreel.models.lora.read import CARD, opened, read_lora
from worldreel.request import LORA_PARTS, Lora
from worldreel.transformer.model import Transformer


def put_loras(networks: Sequence[Transformer], loras: Sequence[Lora], *, fuse: bool = True) -> None:
    """Puts LoRAs onto a model's networks, of which the one for high noise comes first.

    Raises:
        RequestError: a LoRA is for a part that the model has not.
        WeightsError: a file cannot be read or does not fit; then nothing has changed.
    """
    for lora in loras:
        if lora.part and len(networks) == 1:
            came = f"the LoRA {Path(lora.path).name} is for {lora.part} noise"
            raise RequestError(message(came, "this model has one network: leave the @ away"))
    shares = [
        [(Path(x.path), x.weight) for x in loras if x.part in ("", LORA_PARTS[number])]
        for number in range(len(networks))
    ]
    for network, share in zip(networks[1:], shares[1:], strict=True):
        for place, _ in share:
            read_lora(place, network.config)  # before the first network has changed
    for network, share in zip(networks, shares, strict=True):
        if share:
            apply_loras(network, share, fuse=fuse, keep=False)


def fingerprint(lora: Lora) -> Lora:
    """The LoRA with its file's SHA-256 (of a folder: of all that counts in it).

    Raises `WeightsError` if there is no such file.
    """
    place = Path(lora.path)
    files = sorted(set(opened(place).files.values()))
    if len(files) == 1 and place.is_file():
        with place.open("rb") as file:
            return replace(lora, sha256=hashlib.file_digest(file, "sha256").hexdigest())
    hashed = hashlib.sha256()
    for file_path in (*files, place / CARD):
        if file_path.is_file():
            with file_path.open("rb") as file:
                hashed.update(hashlib.file_digest(file, "sha256").digest())
    return replace(lora, sha256=hashed.hexdigest())
