"""A folder of safetensors, in one piece or many: what is in it, checked before it is read.

Headers say which tensors there are and of what shape; a file cut short, a missing shard or a
tensor that should not be there is found here, before gigabytes are read. Pickles are never read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from worldreel.errors import WeightsError, message, shown
from worldreel.models.wan.parts import Shape

PICKLES = (".pt", ".pth", ".bin", ".ckpt")
INDEX = ".safetensors.index.json"


class Weights:
    """The tensors of a folder or file. `shapes` is by name; `read` brings one into memory."""

    def __init__(self, place: Path) -> None:
        """Raises `WeightsError` when there are none, or the files are not whole."""
        self.place = place
        self.files: dict[str, Path] = {}
        self.shapes: dict[str, Shape] = {}
        for file, listed in _files(place).items():
            self._open(file, listed)

    def _open(self, file: Path, listed: frozenset[str] | None) -> None:
        try:
            with safe_open(file, framework="pt") as opened:
                shapes = {n: tuple(opened.get_slice(n).get_shape()) for n in opened.keys()}  # noqa: SIM118
        except FileNotFoundError as error:
            came = f"the weights' file {file.name} is missing"
            raise WeightsError(message(came, "all files that the index names")) from error
        except (OSError, SafetensorError) as error:
            raise WeightsError(_unread(file)) from error
        twice = next((name for name in shapes if name in self.files), None)
        if twice is not None:
            came = f"{file.name} and {self.files[twice].name} both hold {shown(twice)}"
            raise WeightsError(message(came, "a folder with the files of one network"))
        absent = next((name for name in sorted(listed or ()) if name not in shapes), None)
        if absent is not None:
            came = f"{file.name} does not hold {shown(absent)}, which the index says it does"
            raise WeightsError(message(came, "files and index of one download"))
        self.files |= dict.fromkeys(shapes, file)
        self.shapes |= shapes

    def expect(self, shapes: Mapping[str, Shape], *, ignored: tuple[str, ...] = ()) -> None:
        """Raises `WeightsError` unless exactly these tensors are here.

        Args:
            shapes: names and shapes that are needed.
            ignored: endings of names that may be here besides.
        """
        where = f"the weights in {shown(self.place.name)}"
        missing = [name for name in shapes if name not in self.shapes]
        if missing:
            came = f"{where} lack {shown(missing[0], limit=80)}{_more(missing)}"
            raise WeightsError(message(came, "weights of the network that config.json describes"))
        extra = [n for n in self.shapes if n not in shapes and not n.endswith(ignored)]
        if extra:
            came = f"{where} hold {shown(extra[0], limit=80)}{_more(extra)}, which has no place"
            raise WeightsError(message(came, "weights of the network that config.json describes"))
        for name, shape in shapes.items():
            if self.shapes[name] != shape:
                came = f"{where} have {shown(name, limit=80)} of shape {self.shapes[name]}"
                raise WeightsError(message(came, f"{shape} is needed"))

    def read(self, name: str) -> Tensor:
        """One tensor, as it was saved."""
        try:
            with safe_open(self.files[name], framework="pt") as opened:
                tensor: Tensor = opened.get_tensor(name)
        except (OSError, SafetensorError) as error:
            came = f"the weights' file {self.files[name].name} cannot be read any more"
            raise WeightsError(message(came, "leave it in its place while it is read")) from error
        return tensor


def _unread(file: Path) -> str:
    """Why a file is none of safetensors, as far as its first bytes tell."""
    try:
        with file.open("rb") as opened:
            head = opened.read(64)
    except OSError:
        return message(f"the weights' file {file.name} cannot be read", "check its rights")
    if head.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        came = f"the weights' file {file.name} is a pickle, whatever its name"
        return message(came, "safetensors are needed: pickles can run code and are not read")
    if head.startswith(b"version https://git-lfs"):
        came = f"the weights' file {file.name} only points to the weights"
        return message(came, "bring them with `git lfs pull` or `worldreel models pull`")
    came = f"the weights' file {file.name} is damaged or not whole"
    return message(came, "download it again")


def _more(names: list[str]) -> str:
    return "" if len(names) == 1 else f" and {len(names) - 1} more"


def _files(place: Path) -> dict[Path, frozenset[str] | None]:
    """The files of a network, each with the names that an index lists for it."""
    if place.is_file() and place.suffix == ".safetensors":
        return {place: None}
    if not place.is_dir():
        came = f"there is no folder {shown(str(place))}"
        raise WeightsError(message(came, "a folder with .safetensors files"))
    indices = sorted(place.glob(f"*{INDEX}"))
    if len(indices) == 1:
        return {place / file: names for file, names in _index(indices[0]).items()}
    found = sorted(place.glob("*.safetensors"))
    if found and not indices:
        return dict.fromkeys(found)
    if not found and any(place.glob(f"*{suffix}") for suffix in PICKLES):
        came = f"the folder {shown(place.name)} holds only pickled weights"
        needed = "`worldreel models convert` makes safetensors of them: pickles can run code"
        raise WeightsError(message(came, needed))
    came = f"the folder {shown(place.name)} holds {len(found)} safetensors files"
    came += f" and {len(indices)} indices"
    raise WeightsError(message(came, "the safetensors files of one network"))


def _index(file: Path) -> dict[str, frozenset[str]]:
    """File name → names of the tensors in it."""
    try:
        found = json.loads(file.read_text())["weight_map"]
        files: dict[str, set[str]] = {}
        for name, where in found.items():
            if Path(where).name != where or not where.endswith(".safetensors"):
                raise ValueError(where)
            files.setdefault(where, set()).add(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        came = f"the index {shown(file.name)} cannot be read"
        raise WeightsError(message(came, "a weight_map of tensor to safetensors file")) from error
    return {where: frozenset(names) for where, names in files.items()}
