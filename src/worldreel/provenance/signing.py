"""Signing a file in place, all or nothing: a copy is signed, read back and renamed over it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worldreel.errors import OutputError, message, shown
from worldreel.provenance import worker
from worldreel.provenance.authority import anchors, credentials
from worldreel.provenance.claim import Watermark, ingredient, manifest
from worldreel.provenance.ingredients import Ingredient, kind_of
from worldreel.provenance.process import TIMEOUT, answers
from worldreel.provenance.store import Settings
from worldreel.video.write import atomic

__all__ = ["KINDS", "Signed", "sign"]

KINDS = ("video/mp4", "image/webp", "image/png", "image/gif", "image/jpeg")
_START = 10.0  # seconds that a process may take to start, on top of what a time stamp may


@dataclass(frozen=True, kw_only=True)
class Signed:
    """What signing did: the `manifest` that was put in; whether the time was `stamped`."""

    manifest: bytes = field(repr=False)
    stamped: bool


def sign(
    path: str | Path,
    recipe: Mapping[str, Any],
    *,
    created: bool,
    ingredients: Sequence[Ingredient] = (),
    settings: Settings | None = None,
    watermark: Watermark | None = None,
    title: str | None = None,
    own: bool = False,
) -> Signed:
    """Put a signed manifest into the file `path`, whose frames and remark stay as they are.

    Args:
        recipe: what the file was made by (`Recipe.to_dict()`).
        created: whether all of it was made; else it has one parent among the ingredients.
        settings: who signs and what may be told; those of the local store if None.
        watermark: the mark in its pictures, if there is one.
        title: its name in the manifest, where names may be told; the file's name if None.
        own: whether the ingredients were made here a moment ago, so that no process of its own has
            to read them.

    What the file is is seen from its bytes, so that a temporary file of any name can be signed.
    A time stamp that does not come in time is left out. Raises `OutputError` if that cannot be
    done; the file is then as it was.
    """
    path, settings = Path(path), settings or Settings.load()
    kind = _kind(path)
    signed = _answer(path, worker.done({"do": "measure", "path": str(path)}))
    values = manifest(
        recipe,
        created=created,
        ingredients=ingredients,
        settings=settings,
        signed=signed,
        watermark=watermark,
        title=path.name if title is None else title,
    )
    keys = credentials(settings)
    trusted = anchors(settings)
    task = {
        "do": "sign",
        "source": str(path),
        "kind": kind,
        "manifest": values,
        "ingredients": [_told(i, one, settings) for i, one in enumerate(ingredients)],
        "chain": keys.chain,
        "key": keys.key,
        "algorithm": keys.algorithm,
        "anchors": trusted,
    }
    with atomic(path) as target:
        done, stamped = _carried_out(task | {"target": str(target)}, settings, own)
        made = base64.b64decode(_answer(path, done)["manifest"])
        _check(path, worker.done({"do": "read", "path": str(target), "anchors": trusted}))
    return Signed(manifest=made, stamped=stamped)


def _told(index: int, one: Ingredient, settings: Settings) -> dict[str, Any]:
    path = one.path if one.path is not None and one.path.is_file() else None
    return {"path": str(path or ""), "about": ingredient(index, one, settings)}


def _kind(path: Path) -> str:
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(12))
    except OSError as error:
        came = f"{shown(str(path), limit=200)} cannot be opened to be signed"
        raise OutputError(message(came, "give a file that is there")) from error
    if kind not in KINDS:
        came = f"{shown(path.name)} is no file that is signed here"
        raise OutputError(message(came, "it must be an MP4, WebP, PNG, GIF or JPEG"))
    return kind


def _carried_out(
    task: dict[str, Any], settings: Settings, own: bool
) -> tuple[dict[str, Any], bool]:
    """The answer, and whether there is a time stamp.

    Our own file is signed here: 30 ms. What strangers have a hand in (their files as ingredients,
    their servers) goes through a process that can be stopped.
    """
    if settings.timestamp:
        most = settings.timestamp_seconds
        asked = task | {"timestamp": settings.timestamp, "seconds": most}
        stamped = answers([asked], timeout=most + _START)[0]
        if "error" not in stamped:
            return stamped, True
    if not own and any(told["path"] for told in task["ingredients"]):
        done = answers([task], timeout=TIMEOUT)[0]
        if "error" not in done:
            return done, False
        # A file that breaks the library is named without being read: signed is signed.
        for told in task["ingredients"]:
            told["path"] = ""
    return worker.done(task), False


def _answer(path: Path, answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        came = f"{shown(path.name)} cannot be signed ({shown(answer['error'], limit=160)})"
        raise OutputError(message(came, "check the certificates and the free space"))
    return answer


def _check(path: Path, answer: dict[str, Any]) -> None:
    """Whatever was written must read as valid, or it is not handed out."""
    if answer.get("state") not in ("Trusted", "Valid"):
        why = answer.get("error") or answer.get("state") or "no manifest is found"
        came = f"what was signed for {shown(path.name)} does not read back ({shown(why, limit=90)})"
        raise OutputError(message(came, "check the certificates and the free space"))
