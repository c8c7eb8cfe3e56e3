"""A manifest's boxes as they lie in a file (JUMBF, ISO 19566-5): where they are and what they hash.

    superbox    length, "jumb", description, boxes …
    description length, "jumd", kind, toggles, label

Claims name the hash of what is in each statement's superbox. The C2PA library compares it with a
box that it puts together anew, so that bits which it does not read may change unnoticed (measured:
three of the toggles); here the bytes themselves are hashed.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

__all__ = ["Box", "Store", "altered", "stored"]

_LONGEST = 64 * 2**20
_GIF = b"!\xff\x0bC2PA_GIF\x01\0\0"
_BLOCK = 255
_ALGORITHMS = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, kw_only=True)
class Box:
    """A superbox from `start` to `end`; `inside` is where its description ends."""

    start: int
    inside: int
    end: int
    label: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Store:
    """The `data` of a file's bytes from `start` on that hold a manifest store, its outermost box
    beginning at `box`; in a GIF they come without what lies between its blocks."""

    data: bytes
    start: int
    box: Box
    blocks: bool

    def place(self, at: int) -> int:
        """Where byte `at` of the data is in the file."""
        return self.start + at + (len(_GIF) + at // _BLOCK + 1 if self.blocks else 0)

    def boxes(self, box: Box) -> Iterator[Box]:
        """The superboxes inside `box`; raises `ValueError` if they do not fit."""
        at = box.inside
        while at + 8 <= box.end:
            length = int.from_bytes(self.data[at : at + 4], "big")
            if length < 8 or at + length > box.end:
                raise ValueError("a box of a wrong length")
            if self.data[at + 4 : at + 8] == b"jumb":
                yield _box(self.data, at)
            at += length

    def active(self) -> Box:
        """The last manifest; raises `ValueError` if there is none."""
        manifests = list(self.boxes(self.box))
        if not manifests:
            raise ValueError("an empty store")
        return manifests[-1]


def stored(file: BinaryIO, start: int, length: int) -> Store | None:
    """The manifest store in these bytes of `file`; None if it is not in one piece (a JPEG cuts long
    ones) or makes no sense."""
    if not 0 < length <= _LONGEST:
        return None
    file.seek(start)
    data = file.read(length)
    blocks = data.startswith(_GIF)
    data = _joined(data) if blocks else data
    at = data.find(b"jumb") - 4
    try:
        box = _box(data, at)
    except ValueError:
        return None
    return Store(data=data, start=start, box=box, blocks=blocks)


def _joined(data: bytes) -> bytes:
    """What the blocks of a GIF's extension hold, if all but the last are full."""
    at, parts = len(_GIF), []
    while at < len(data) and data[at]:
        parts.append(data[at + 1 : at + 1 + data[at]])
        at += 1 + data[at]
    full = all(len(part) == _BLOCK for part in parts[:-1])
    return b"".join(parts) if full else b""


def _box(data: bytes, at: int) -> Box:
    if at < 0 or data[at + 4 : at + 8] != b"jumb" or data[at + 12 : at + 16] != b"jumd":
        raise ValueError("no superbox")
    end = at + int.from_bytes(data[at : at + 4], "big")
    inside = at + 8 + int.from_bytes(data[at + 8 : at + 12], "big")
    if not at + 33 <= inside <= end <= len(data):
        raise ValueError("a box of a wrong length")
    label = data[at + 33 : inside].split(b"\0")[0].decode("latin-1")
    return Box(start=at, inside=inside, end=end, label=label)


def altered(store: Store, manifest: Mapping[str, Any]) -> list[str]:
    """The labels of statements, and of the manifests of ingredients, whose bytes do not have the
    hash that the active `manifest` (crJSON) names."""
    claim = manifest.get("claim.v2") or manifest.get("claim") or {}
    try:
        found = {b.label: b for b in store.boxes(store.box)}
        parts = {b.label: b for b in store.boxes(store.active())}
        statements = {b.label: b for b in store.boxes(parts["c2pa.assertions"])}
    except (ValueError, KeyError):
        return []
    named = [(one, statements) for key in ("created", "gathered") for one in _listed(claim, key)]
    for data in (manifest.get("assertions") or {}).values():
        if isinstance(data, dict) and isinstance(data.get("activeManifest"), dict):
            named.append((data["activeManifest"], found))
    wrong = []
    for one, boxes in named:
        label = str(one.get("url", "")).rpartition("/")[2]
        name = str(one.get("alg") or claim.get("alg") or "sha256")
        if label in boxes and name in _ALGORITHMS:
            box = boxes[label]
            digest = hashlib.new(name, store.data[box.start + 8 : box.end]).digest()
            if str(one.get("hash")) != f"b64'{base64.b64encode(digest).decode()}'":
                wrong.append(label)
    return wrong


def _listed(claim: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    listed = claim.get(f"{kind}_assertions")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
