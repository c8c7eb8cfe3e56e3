"""Files: uploads in, results out. No name in here comes from a user.

    uploads/<random>.<kind>                 written, synced, renamed before the job is acknowledged
    results/.<video>-<attempt>/             a worker writes here
    results/<video>-<attempt>-<random>/     synced, renamed; then the row names it: it exists

What no row names is left over from a crash, and goes.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from worldreel.errors import message
from worldreel.server.errors import ApiError, too_large, unready

__all__ = ["VARIANTS", "Storage"]

VARIANTS = {
    "video": ("video.mp4", "video/mp4"),
    "thumbnail": ("thumbnail.webp", "image/webp"),
    "spritesheet": ("spritesheet.jpg", "image/jpeg"),
}
"""What a result holds: the file and its media type."""
_CHUNK = 2**20
_YOUNG = 3600.0
"""Seconds for which an upload may lie there without a row: its request is still being answered."""


class Storage:
    """The folder of one server, or of several that share it."""

    def __init__(self, folder: Path, *, spare: int = 0) -> None:
        self.folder, self.spare = folder, spare
        self.uploads, self.results = folder / "uploads", folder / "results"
        for place in (self.uploads, self.results):
            place.mkdir(parents=True, exist_ok=True)

    def check_space(self) -> None:
        """Raises `ApiError` (503) if the disk is nearly full."""
        if shutil.disk_usage(self.folder).free < self.spare:
            raise _full()

    def keep(self, source: BinaryIO, *, kind: str, limit: int) -> tuple[str, str]:
        """Puts an upload on the disk for good: its name here, and its SHA-256.

        Raises `ApiError`: more than `limit` bytes, or no space for them.
        """
        name = f"{secrets.token_hex(16)}.{kind}"
        part = self.uploads / f".{name}"
        digest, size = hashlib.sha256(), 0
        try:
            with part.open("xb") as file:
                while chunk := source.read(_CHUNK):
                    size += len(chunk)
                    if size > limit:
                        raise too_large(
                            message("the file is too large", f"at most {limit:,} bytes")
                        )
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.uploads / name)
            _sync(self.uploads)
        except OSError as error:
            raise _full() from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        return name, digest.hexdigest()

    def borrow(self, result: str) -> str:
        """A finished video as an upload of another job, which keeps it if the first is deleted."""
        return self._linked(self.file(result, "video"), f"{secrets.token_hex(16)}.mp4")

    def again(self, upload: str) -> str:
        """An upload under another name, for a job of its own."""
        return self._linked(self.upload(upload), f"{secrets.token_hex(16)}.{upload[33:]}")

    def _linked(self, source: Path, name: str) -> str:
        target = self.uploads / name
        try:
            os.link(source, target)
        except FileNotFoundError:
            raise
        except OSError:  # file systems without links
            shutil.copyfile(source, target)
        _sync(self.uploads)
        return name

    def upload(self, name: str) -> Path:
        """Where an upload lies."""
        assert "/" not in name and not name.startswith("."), name
        return self.uploads / name

    def file(self, result: str, variant: str) -> Path:
        """Where a file of a result lies."""
        assert "/" not in result and not result.startswith("."), result
        return self.results / result / VARIANTS[variant][0]

    @contextmanager
    def making(self, video: str, attempt: int) -> Iterator[Path]:
        """A folder for a worker to write into; gone afterwards unless it was published."""
        part = self.results / f".{video}-{attempt}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def publish(self, part: Path) -> str:
        """Makes what a worker wrote last through a power cut, under the name that is returned."""
        for file in part.iterdir():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())
        _sync(part)
        name = f"{part.name.removeprefix('.')}-{secrets.token_hex(8)}"
        os.replace(part, self.results / name)
        _sync(self.results)
        return name

    def forget(self, *, result: str | None = None, upload: str | None = None) -> None:
        """Removes files; what cannot be removed now, the reconciler will."""
        if result:
            shutil.rmtree(self.results / result, ignore_errors=True)
        if upload:
            with suppress(OSError):
                self.upload(upload).unlink(missing_ok=True)

    def reconcile(
        self,
        results: Collection[str],
        uploads: Collection[str],
        making: Collection[tuple[str, int]],
        *,
        before: float,
    ) -> int:
        """Removes what no row names; how many things went.

        `before` is when the rows were read: what is younger may belong to a newer row.
        """
        gone = 0
        current = {f"{video}-{attempt}" for video, attempt in making}
        for place in list(self.results.iterdir()):
            name = place.name.removeprefix(".")
            # A folder that was renamed but not committed belongs to its attempt while that lasts.
            busy = name in current or name.rpartition("-")[0] in current
            if place.name in results or busy or _changed(place) > before - 5:
                continue
            shutil.rmtree(place, ignore_errors=True)
            gone += 1
        for place in list(self.uploads.iterdir()):
            if place.name in uploads or _changed(place) > before - _YOUNG:
                continue
            with suppress(OSError):
                place.unlink()
                gone += 1
        return gone


def _changed(place: Path) -> float:
    try:
        return place.stat().st_ctime
    except OSError:
        return time.time()


def _sync(folder: Path) -> None:
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _full() -> ApiError:
    came = "there is too little space left on the server's disk"
    return unready(message(came, "try again later"), code="disk_full", wait=60)
