"""The process that reads pickled weights, so that no other has to.

    python -c "… unpickle.main()" TASK    (see convert.py, which starts it)

A pickle is a program. Here only one that builds tensors is run (`weights_only=True`), by a process
whose memory and output are limited in proportion to the file, and whose tensors may be no larger
than the file itself. What is in it is told by the names of its tensors; those that the network
needs are written as safetensors, one after the other, and the rest is left out. On standard output
goes one line of JSON that says what was done, or why nothing was.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from worldreel.codec.wan import WanCodec
from worldreel.errors import WeightsError, message, shown
from worldreel.models.wan.cards import CARD, codec_config_of, transformer_config
from worldreel.models.wan.network import ENTER, IGNORED, ORIGINAL, network
from worldreel.models.wan.parts import Shape, needed
from worldreel.models.wan.pixels import pixels

__all__ = ["Task", "answer", "main", "set_limits", "write"]

Shapes: TypeAlias = dict[str, Shape]
HEAD = 128
"""Channels of a head, in all networks of the family: no tensor tells."""
NESTED = ("generator_ema", "generator", "state_dict", "model", "module")
WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")
PREFIXES = ("net.", "model.", "module.")
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
}
SOURCE = "converted_from"
_SPARE = 2 * 2**30


@dataclass(frozen=True, kw_only=True)
class Task:
    """Read `path`, write into the folder `target`, by way of the file `part`; `few` is put into a
    transformer's card: how its few steps are sampled."""

    path: str
    target: str
    part: str
    few: str = ""


def main() -> None:
    """Does the task of the last argument; always prints one line of JSON, unless it crashes."""
    task = Task(**json.loads(sys.argv[-1]))
    with suppress(OSError):
        set_limits(Path(task.path).stat().st_size)
    print(json.dumps(answer(task)))


def answer(task: Task) -> dict[str, Any]:
    """What was done, or the one sentence ("error") that says why nothing was."""
    name = shown(Path(task.path).name)
    try:
        return _done(task)
    except WeightsError as error:
        return {"error": str(error)}
    except pickle.UnpicklingError:
        came = f"{name} holds more than tensors, which would run code when it is read"
        return {"error": message(came, "take the weights as safetensors")}
    except MemoryError:
        needed = "it is damaged, or no file of weights"
        return {"error": message(f"{name} needs far more memory than its size", needed)}
    except OSError as error:
        came = f"{name} cannot be converted ({error.strerror or type(error).__name__})"
        return {"error": message(came, "check the disk's room and the folder's rights")}
    except Exception:  # broken archives meet the reader in every way there is
        came = f"{name} is damaged, not whole or no file of weights"
        return {"error": message(came, "download it again")}


def set_limits(size: int) -> None:
    """Twice the file and some, beyond what Python and torch have mapped already."""
    try:
        import resource
    except ImportError:  # Windows: weights_only and the sizes of tensors still hold
        return
    wanted = {"FSIZE": 2 * size + 2**26, "CORE": 0}
    with suppress(OSError, ValueError):
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        wanted["AS"] = mapped + 2 * size + _SPARE
    for name, most in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        with suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY:
                most = min(most, hard)
            resource.setrlimit(kind, (most, hard))


def _done(task: Task) -> dict[str, Any]:
    path, target = Path(task.path), Path(task.target)
    tensors = _tensors(_read(path))
    size = path.stat().st_size
    if sum(t.numel() * t.element_size() for t in tensors.values()) > 2 * size:
        came = f"the tensors in {shown(path.name)} are larger than the file"
        raise WeightsError(message(came, "take the weights from where they were published"))
    if f"{ENTER}.weight" in tensors and tensors[f"{ENTER}.weight"].ndim == 2:
        tensors[f"{ENTER}.weight"] = _unfolded(tensors[f"{ENTER}.weight"])
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    file, wanted, card = _known(shapes, path.name)
    lacking = [name for name, shape in wanted.items() if shapes.get(name) != shape]
    if lacking:
        what = "lacks" if lacking[0] not in shapes else "has another shape of"
        came = f"{shown(path.name)} {what} {shown(lacking[0], limit=80)}"
        raise WeightsError(message(came, "take the weights from where they were published"))
    kept = {name: tensors[name] for name in wanted}
    told = {"file": file, "tensors": len(kept), "left": len(tensors) - len(kept)}
    if (target / file).exists():
        if _source(target / file) == path.name:
            return told | {"sha256": ""}
        came = f"{shown(path.name)} would become {file}, which is in that folder already"
        raise WeightsError(message(came, "give each network a folder of its own"))
    digest = write(target / file, kept, beside=Path(task.part), source=path.name)
    if card is not None and not (target / CARD).is_file():
        card |= {"few_steps": task.few} if task.few else {}
        (target / CARD).write_text(json.dumps(card, indent=2) + "\n")
    return told | {"sha256": digest}


def _source(file: Path) -> str | None:
    """The pickle that safetensors were made of, if they were made here."""
    with suppress(SafetensorError, OSError), safe_open(str(file), framework="pt") as opened:
        return (opened.metadata() or {}).get(SOURCE)
    return None


def _read(path: Path) -> object:
    """The pickle's tensors, on the disk where the format allows it."""
    again = "download it again"
    if path.stat().st_size == 0:
        raise WeightsError(message(f"{shown(path.name)} is an empty file", again))
    try:
        found: object = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except OSError as error:  # what a truncated archive gives, among others
        raise WeightsError(message(f"{shown(path.name)} is damaged or not whole", again)) from error
    except (RuntimeError, ValueError) as error:
        if "mmap" not in str(error):
            raise
        found = torch.load(path, map_location="cpu", weights_only=True)
    return found


def _tensors(found: object) -> dict[str, Tensor]:
    """The tensors by their plain names, wherever they lie in what was saved; numbers left out."""
    if not isinstance(found, Mapping):
        raise WeightsError(message("the file holds no table of tensors", "a state dict is needed"))
    for key in NESTED:
        if isinstance(found.get(key), Mapping):
            return _tensors(found[key])
    tensors: dict[str, Tensor] = {}
    for name, tensor in found.items():
        if isinstance(name, str) and isinstance(tensor, Tensor) and tensor.dtype in DTYPES:
            tensors[_plain(name)] = tensor
    return tensors


def _plain(name: str) -> str:
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _unfolded(weight: Tensor) -> Tensor:
    """The first layer as a convolution, where it was saved as a linear layer over patches."""
    return weight.reshape(weight.shape[0], -1, 1, 2, 2)


def _known(shapes: Shapes, name: str) -> tuple[str, Shapes, dict[str, Any] | None]:
    """What these tensors are: the file's new name, the tensors it must have, and a card."""
    try:
        if f"{ENTER}.weight" in shapes and f"{ORIGINAL.level[0]}.weight" in shapes:
            return _transformer(shapes)
        if "encoder.conv1.weight" in shapes:
            with torch.device("meta"):
                codec = WanCodec(codec_config_of(shapes)[0])
            return "vae.safetensors", dict(needed(pixels(codec, original=True))), None
        if "token_embedding.weight" in shapes:
            return "text_encoder.safetensors", _text(shapes), None
        if f"visual.{ENTER}.weight" in shapes:
            return "image_encoder.safetensors", _image(shapes), None
    except (KeyError, IndexError, ValueError, AssertionError) as error:
        came = f"{shown(name)} lacks tensors of its network ({shown(str(error), limit=60)})"
        raise WeightsError(message(came, "download it again")) from error
    came = f"{shown(name)} is no transformer, codec, text or image encoder of the Wan family"
    raise WeightsError(message(came, "the folder of one of its models is needed"))


def _transformer(shapes: Shapes) -> tuple[str, Shapes, dict[str, Any]]:
    width, inputs = shapes[f"{ENTER}.weight"][:2]
    image = f"{ORIGINAL.image[0]}.weight" in shapes
    places = ORIGINAL.places in shapes
    card = {
        "_class_name": "WanModel",
        "model_type": "flf2v" if places else "i2v" if image else "t2v",
        "dim": width,
        "eps": 1e-6,
        "ffn_dim": shapes["blocks.0.ffn.0.weight"][0],
        "freq_dim": shapes["time_embedding.0.weight"][1],
        "in_dim": inputs,
        "num_heads": max(1, width // HEAD),
        "num_layers": _count(shapes, "blocks."),
        "out_dim": shapes["head.head.weight"][0] // 4,
        "text_dim": shapes["text_embedding.0.weight"][1],
        "text_len": 512,
    }
    config, names = transformer_config(card, shapes)
    wanted = dict(needed(network(config, names)))
    # What has more layers, or more in a layer, than this network is another network.
    for name in shapes:
        if name.startswith("blocks.") and name not in wanted and not name.endswith(IGNORED):
            raise ValueError(f"{name} has no place")
    return "diffusion_pytorch_model.safetensors", wanted, card


def _count(shapes: Shapes, before: str) -> int:
    return 1 + max(
        int(n.removeprefix(before).split(".")[0]) for n in shapes if n.startswith(before)
    )


def _text(shapes: Shapes) -> Shapes:
    """UMT5's encoder, in the original names; its sizes are those of its first block."""
    names = ["token_embedding.weight", "norm.weight"]
    inside = ("norm1", "attn.q", "attn.k", "attn.v", "attn.o", "norm2", "ffn.gate.0", "ffn.fc1",
              "ffn.fc2", "pos_embedding.embedding")  # fmt: skip
    wanted = {name: shapes[name] for name in names}
    for i in range(_count(shapes, "blocks.")):
        wanted |= {f"blocks.{i}.{n}.weight": shapes[f"blocks.0.{n}.weight"] for n in inside}
    return wanted


def _image(shapes: Shapes) -> Shapes:
    """CLIP's image tower, in the original names. The text tower is of no use here."""
    names = [f"{ENTER}.weight", "cls_embedding", "pos_embedding", "head"]
    names += [f"{norm}.{kind}" for norm in ("pre_norm", "post_norm") for kind in ("weight", "bias")]
    wanted = {f"visual.{name}": shapes[f"visual.{name}"] for name in names}
    for i in range(_count(shapes, "visual.transformer.")):
        for layer in ("norm1", "attn.to_qkv", "attn.proj", "norm2", "mlp.0", "mlp.2"):
            for kind in ("weight", "bias"):
                first = shapes[f"visual.transformer.0.{layer}.{kind}"]
                wanted[f"visual.transformer.{i}.{layer}.{kind}"] = first
    return wanted


def write(path: Path, tensors: Mapping[str, Tensor], *, beside: Path, source: str) -> str:
    """Writes safetensors to `beside`, one tensor in memory at a time, and renames it to `path` when
    it is whole. Returns its SHA-256."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt", SOURCE: source}}
    at = 0
    for name, tensor in tensors.items():
        end = at + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [at, end],
        }
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    try:
        with beside.open("wb") as file:
            for piece in (struct.pack("<Q", len(text)), text):
                digest.update(piece)
                file.write(piece)
            for tensor in tensors.values():
                raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
                digest.update(raw)
                file.write(raw)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    return digest.hexdigest()
