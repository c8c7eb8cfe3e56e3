"""Files in a bucket (S3, or whatever obstore knows), for servers on many machines.

The folder of each machine is a cache before the bucket. What a row may name is in the bucket before
the row says so, and what is missing in the folder is fetched when somebody asks for it:

    uploads/<name>                   put before the job is acknowledged
    results/<result>/<file>          put before the row names the result

Credentials and endpoints are the environment's, as for every S3 client (AWS_ACCESS_KEY_ID, …).
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

from worldreel.errors import RequestError, message, shown
from worldreel.server.errors import unready
from worldreel.server.settings import Settings
from worldreel.server.storage import VARIANTS, Storage

__all__ = ["Bucket", "open_storage"]

_SWEEP = 3600.0
"""Seconds between two looks at all that is in the bucket."""
_CACHED = 7 * 86_400.0
"""Seconds after which a result that nobody looked at leaves the folder."""


def open_storage(settings: Settings) -> Storage:
    """Where a server keeps its files; raises `RequestError` for a bucket that is none."""
    if not settings.storage:
        return Storage(settings.folder, spare=settings.spare)
    return Bucket(settings.folder, settings.storage, spare=settings.spare)


def _trying(url: str, patience: float) -> dict[str, Any]:
    """How long a bucket elsewhere is tried, as obstore has it."""
    if url.startswith(("file:", "memory:")):
        return {}
    wait = timedelta(seconds=patience)
    return {"retry_config": {"max_retries": 6, "retry_timeout": wait}}


class Bucket(Storage):
    """A folder, and the bucket behind it."""

    def __init__(self, folder: Path, url: str, *, spare: int = 0, patience: float = 30.0) -> None:
        """`url` such as s3://bucket/prefix, tried again for `patience` seconds if it does not
        answer; raises `RequestError` if it cannot be used."""
        super().__init__(folder, spare=spare)
        self.url = url
        try:
            import obstore
            from obstore.store import from_url
        except ImportError as error:
            came = f"the storage {shown(url)} needs obstore, which is not installed"
            raise RequestError(message(came, "pip install 'worldreel[s3]'")) from error
        try:
            self._store: Any = from_url(url, **_trying(url, patience))
        except Exception as error:  # obstore's own kinds, and ValueError
            came = f"the storage {shown(url)} cannot be used"
            needed = "give s3://BUCKET/PREFIX, with AWS_REGION and credentials in the environment"
            raise RequestError(message(came, needed)) from error
        self._at: Any = obstore
        self._swept = 0.0

    def keep(self, source: BinaryIO, *, kind: str, limit: int) -> tuple[str, str]:
        """As `Storage.keep`; it is in the bucket when this returns."""
        name, sha256 = super().keep(source, kind=kind, limit=limit)
        self._put_upload(name)
        return name, sha256

    def _linked(self, source: Path, name: str) -> str:
        made = super()._linked(source, name)
        self._put_upload(made)
        return made

    def _put_upload(self, name: str) -> None:
        try:
            self._put(f"uploads/{name}", self.uploads / name)
        except BaseException:
            (self.uploads / name).unlink(missing_ok=True)
            raise

    def upload(self, name: str) -> Path:
        """Where an upload lies, fetched if need be."""
        return self._here(f"uploads/{name}", super().upload(name))

    def file(self, result: str, variant: str) -> Path:
        """Where a file of a result lies, fetched if need be."""
        path = super().file(result, variant)
        with suppress(OSError):
            os.utime(path.parent)  # it was looked at
        return self._here(f"results/{result}/{VARIANTS[variant][0]}", path)

    def publish(self, part: Path) -> str:
        """As `Storage.publish`; all of it is in the bucket when this returns."""
        name = super().publish(part)
        for file in (self.results / name).iterdir():
            self._put(f"results/{name}/{file.name}", file)
        return name

    def forget(self, *, result: str | None = None, upload: str | None = None) -> None:
        """Removes files here and there; what cannot be removed now, the reconciler will."""
        if upload:
            with suppress(OSError):
                (self.uploads / upload).unlink(missing_ok=True)
            with suppress(Exception):
                self._at.delete(self._store, f"uploads/{upload}")
        if result:
            super().forget(result=result)
            with suppress(Exception):
                self._delete(f"results/{result}/")

    def reconcile(
        self,
        results: Collection[str],
        uploads: Collection[str],
        making: Collection[tuple[str, int]],
        *,
        before: float,
    ) -> int:
        """As `Storage.reconcile`; now and then the bucket too."""
        gone = super().reconcile(results, uploads, making, before=before)
        self._shrink()
        if before - self._swept < _SWEEP:
            return gone
        self._swept = before
        current = {f"{video}-{attempt}" for video, attempt in making}
        with self._reached():
            for entry in self._listed(""):
                kind, _, rest = entry["path"].partition("/")
                name = rest.partition("/")[0]
                named = name in (uploads if kind == "uploads" else results)
                busy = kind == "results" and name.rpartition("-")[0] in current
                if named or busy or entry["last_modified"].timestamp() > before - _SWEEP:
                    continue
                self._at.delete(self._store, entry["path"])
                gone += 1
        return gone

    def _shrink(self) -> None:
        """What nobody looked at lately need not be here: the bucket has it."""
        for place in list(self.results.iterdir()):
            with suppress(OSError):
                if not place.name.startswith(".") and place.stat().st_mtime < time.time() - _CACHED:
                    shutil.rmtree(place, ignore_errors=True)

    def _put(self, key: str, path: Path) -> None:
        with self._reached():
            self._at.put(self._store, key, path)

    def _here(self, key: str, path: Path) -> Path:
        """`path`, fetched whole or not at all; not there if it is not in the bucket either."""
        if path.is_file():
            return path
        part = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            with self._reached():
                stream = self._at.get(self._store, key)
                path.parent.mkdir(parents=True, exist_ok=True)
                with part.open("wb") as file:
                    for chunk in stream:
                        file.write(chunk)
            os.replace(part, path)
        except FileNotFoundError:
            return path
        finally:
            part.unlink(missing_ok=True)
        return path

    def _listed(self, prefix: str) -> Iterator[Any]:
        for page in self._at.list(self._store, prefix or None):
            yield from page

    def _delete(self, prefix: str) -> None:
        for entry in self._listed(prefix):
            self._at.delete(self._store, entry["path"])

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """A bucket that does not answer is told as such; what is not in it is not found."""
        try:
            yield
        except (FileNotFoundError, MemoryError):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of this machine's own disk
            told = message("the server's storage does not answer", "try again later")
            raise unready(told, code="storage_unavailable") from error
