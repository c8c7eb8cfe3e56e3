"""Pickled weights (.pt, .pth) → safetensors, read by a process that can do no harm.

Some of the open weights' files are pickles: programs that build tensors, and could do anything
else. They are read nowhere but here, by a process of their own with limits (unpickle.py), and
once only: what it writes is what models are loaded from.

    Wan2.1_VAE.pth                       vae.safetensors
    models_t5_umt5-xxl-enc-bf16.pth      text_encoder.safetensors
    models_clip_….pth                    image_encoder.safetensors
    a transformer's .pt                  diffusion_pytorch_model.safetensors, config.json

The tensors keep the names they had.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worldreel.errors import WeightsError, message, shown

__all__ = ["Converted", "convert", "convert_file", "pickles"]

PICKLES = (".pt", ".pth")
TIMEOUT = 3600.0
"""Seconds that one file may take: a large one is 60 GB, from a slow disk to the same disk."""
# The import path is ours, not what a file beside the weights may be called.
_READER = """
import sys
sys.path[:] = sys.argv.pop().split("\\n")
from worldreel.models.unpickle import main
main()
"""
FEW = {"rcm": "rcm", "self_forcing": "self-forcing", "self-forcing": "self-forcing"}
"""Parts of files' names by which weights for few steps are known: their tensors do not tell."""


@dataclass(frozen=True, kw_only=True)
class Converted:
    """The file `source` became `target`, with `tensors` tensors; `left` others, which no network
    needs, were left out. `sha256` is the new file's; "" if it had been converted before."""

    source: Path
    target: Path
    tensors: int
    left: int
    sha256: str


def pickles(folder: Path) -> tuple[Path, ...]:
    """The pickled weights in a folder and its folder `checkpoints`."""
    places = (folder, folder / "checkpoints")
    return tuple(
        path
        for place in places
        if place.is_dir()
        for path in sorted(place.iterdir())
        if path.suffix in PICKLES and path.is_file()
    )


def convert(folder: Path) -> Iterator[Converted]:
    """Converts what pickled weights there are in a folder, one after the other; yields each.

    Raises `WeightsError` if there are none, or one cannot be read or is more than tensors.
    """
    if not folder.is_dir():
        came = f"there is no folder {shown(str(folder), limit=200)}"
        raise WeightsError(message(came, "name the folder with the weights"))
    found = pickles(folder)
    if not found:
        came = f"there are no .pt or .pth files in {shown(folder.name)}"
        raise WeightsError(message(came, "safetensors need no converting"))
    for path in found:
        yield convert_file(path, folder)


def convert_file(path: Path, target: Path, *, few: str | None = None) -> Converted:
    """Converts one file into the folder `target`.

    Args:
        few: how the few steps of a transformer are sampled, for its card; by the name if None.

    Raises `WeightsError`; then nothing has been written.
    """
    if few is None:
        few = next((kind for part, kind in FEW.items() if part in path.name.lower()), "")
    part = target / f"{path.name}.part"
    try:
        told = {"path": str(path), "target": str(target), "part": str(part), "few": few}
        answer = _answer(path, told)
    finally:
        with suppress(OSError):  # a process that was killed could not do it itself
            part.unlink(missing_ok=True)
    return Converted(
        source=path,
        target=target / str(answer["file"]),
        tensors=int(answer["tensors"]),
        left=int(answer["left"]),
        sha256=str(answer["sha256"]),
    )


def _answer(path: Path, task: dict[str, str]) -> dict[str, Any]:
    """What the process says that reads the pickle; `WeightsError` for all that can go wrong."""
    name, ours = shown(path.name), "\n".join(p for p in sys.path if p)
    command = [sys.executable, "-P", "-c", _READER, json.dumps(task), ours]
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        came = f"{name} took more than {TIMEOUT / 60:g} minutes to read"
        raise WeightsError(message(came, "copy it to a faster disk")) from None
    except OSError as error:
        came = f"{name} cannot be read, for no process can be started"
        raise WeightsError(message(came, "close other programs")) from error
    answer: Any = None
    with suppress(ValueError):
        answer = json.loads(ended.stdout)
    if not isinstance(answer, dict):
        came = f"the process that reads {name} broke down"
        raise WeightsError(message(came, "the file is damaged or needs too much memory"))
    if "error" in answer:
        raise WeightsError(str(answer["error"]))
    return answer
