"""The bytes of a signed file that neither hash nor signature covers: they may change unnoticed.

Which bytes the file's hash leaves out, the manifest says itself:

    c2pa.hash.data     ranges of bytes; for PNG, GIF, JPEG and WebP the manifest
    c2pa.hash.bmff.v3  boxes of an MP4: the manifest, ftyp, free, skip, mfra
    c2pa.hash.boxes    boxes marked as excluded

The manifest in turn is covered by its signature, but for what only frames it:

    frame of the container | store ( manifest ( frame | statements | claim | signature ) )

of which the lengths and names of the boxes and the signature's padding say nothing and are free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from worldreel.provenance.jumbf import Box, Store, stored

__all__ = ["Unhashed", "place", "unhashed"]

_MOST = 100
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_PAD, _NIL = b"\x63pad", b"\xf6"  # CBOR: a key of three letters; nothing

Range = tuple[int, int, str]


@dataclass(frozen=True, kw_only=True)
class Unhashed:
    """`length` bytes from `start` on that may change unnoticed; `what` names them. Both are 0 where
    the manifest does not say where they lie."""

    start: int
    length: int
    what: str


def place(file: BinaryIO, manifest: Mapping[str, Any]) -> tuple[int, int] | None:
    """Start and length of the bytes of `file` that hold the manifests, as the active `manifest`
    (crJSON) says; None if it does not."""
    for label, data in _hashes(manifest):
        if label.startswith("c2pa.hash.data"):
            for one in data.get("exclusions") or []:
                return int(one["start"]), int(one["length"])
        elif label.startswith("c2pa.hash.bmff"):
            tops = ((at, size) for at, size, name, head in _tops(file) if head == _C2PA)
            return next(tops, None)
    return None


def unhashed(file: BinaryIO, manifest: Mapping[str, Any]) -> list[Range]:
    """(start, length, what) of what the active `manifest` (crJSON) leaves uncovered in `file`."""
    found: list[Range] = []
    for label, data in _hashes(manifest):
        if label.startswith("c2pa.hash.data"):
            for one in data.get("exclusions") or []:
                found += _inside(file, int(one["start"]), int(one["length"]))
        elif label.startswith("c2pa.hash.bmff"):
            found += _excluded(file, {str(e.get("xpath")) for e in data.get("exclusions") or []})
        elif label.startswith("c2pa.hash.boxes"):
            boxes = [one for one in data.get("boxes") or [] if one.get("excluded")]
            found += [(0, 0, f"boxes {', '.join(one.get('names', []))}") for one in boxes]
    return sorted(found)[:_MOST]


def _hashes(manifest: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for label, data in (manifest.get("assertions") or {}).items():
        if label.startswith("c2pa.hash.") and isinstance(data, dict):
            yield label, data


def _excluded(file: BinaryIO, paths: set[str]) -> Iterator[Range]:
    """The boxes at the top of an MP4 that `paths` names; deeper paths are told without a place."""
    for start, length, name, head in _tops(file):
        if f"/{name}" not in paths:
            continue
        if name != "uuid":
            yield start, length, f"box {name}"
        elif head == _C2PA:
            yield from _inside(file, start, length)
    for path in sorted(paths):
        if path.count("/") > 1:
            yield 0, 0, f"boxes {path}"


def _tops(file: BinaryIO) -> Iterator[tuple[int, int, str, bytes]]:
    """(start, length, type, the 16 bytes after the header) of the boxes at the top of an MP4."""
    end = file.seek(0, 2)
    start = 0
    while start + 8 <= end:
        file.seek(start)
        head = file.read(32)
        length, name = int.from_bytes(head[:4], "big"), head[4:8].decode("latin-1")
        body = 8
        if length == 1:
            length, body = int.from_bytes(head[8:16], "big"), 16
        if length == 0:
            length = end - start
        if length < body:
            return
        yield start, min(length, end - start), name, head[body : body + 16]
        start += length


def _inside(file: BinaryIO, start: int, length: int) -> list[Range]:
    """What is free in the manifest of `length` bytes at `start`; all of it if its parts cannot be
    told apart."""
    store = stored(file, start, length)
    try:
        frames = [] if store is None else list(_frames(store))
    except ValueError:
        frames = []
    if store is None or not frames:
        return [(start, length, "the manifest")]
    first, last = store.place(store.box.start), store.place(store.box.end - 1) + 1
    container = "the container of the manifest"
    found = [(start, first - start, container), (last, start + length - last, container)]
    for at, count, what in frames:
        found.append((store.place(at), store.place(at + count - 1) + 1 - store.place(at), what))
    return [one for one in found if one[1] > 0]


def _frames(store: Store) -> Iterator[Range]:
    """What frames the store, its active manifest and the parts of that."""
    yield _frame(store, store.box)
    active = store.active()
    yield _frame(store, active)
    for part in store.boxes(active):
        yield _frame(store, part)
        if part.label == "c2pa.signature":
            yield from _padding(store.data, part)


def _frame(store: Store, box: Box) -> Range:
    """Header and description of a box, and the header of what it holds if that is no superbox."""
    plain = store.data[box.inside + 4 : box.inside + 8] != b"jumb"
    return box.start, box.inside - box.start + (8 if plain else 0), f"the frame of {box.label}"


def _padding(data: bytes, signature: Box) -> Iterator[Range]:
    """The zeros that keep room in the unprotected header of the signature (COSE), with their key
    and length, and the mark after them that the claim is not repeated there."""
    at = data.find(_PAD, signature.start, signature.end)
    head = data[at + 4 : at + 7]
    if at < 0 or head[:1] not in (b"\x58", b"\x59"):
        return
    size = 2 if head[:1] == b"\x58" else 3
    count = 4 + size + int.from_bytes(head[1:size], "big")
    yield at, count + (data[at + count : at + count + 1] == _NIL), "the padding of the signature"
