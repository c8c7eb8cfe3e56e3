"""Bringing a model from the hub: what is needed of it, checked, and going on where it stopped.

Of a repository only safetensors, cards (JSON) and tokenizers are taken. Pickled weights come along
only where a model has nothing else (the original files' codec and text encoder, some few-step
transformers); they are converted at once by a limited process (convert.py) and removed.

The listing of a repository names every file's size and checksum: SHA-256 for large files, git's
SHA-1 of "blob SIZE\\0" + content for small ones. Files are written as FILE.part, and get their
name when the checksum is right.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from worldreel.errors import ModelError, OutputError, message, shown
from worldreel.models import hub
from worldreel.models.catalogue import ENTRIES, Entry, by_id, by_name, licence_of, told
from worldreel.models.convert import convert_file
from worldreel.models.hub import File, Record

__all__ = ["Plan", "Progress", "Wanted", "plan", "pull"]

TAKEN = ("*.safetensors", "*.json", "*.model", "*.txt", "LICENSE*")
PICKLES = ("*_VAE.pth", "models_t5*.pth", "models_clip*.pth")
"""Pickles of the original repositories that a model cannot do without."""
LEFT = ("assets/*", "examples/*", ".*", "*/.*", "*requirements*.txt")
ENDPOINT: str | None = None
"""The hub's address; None: the library's own, which listens to HF_ENDPOINT."""
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
Progress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and what is being done."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A file to be brought: `source` on the hub in the repository `id` at `revision`, `name` in the
    folder. A pickle is then converted into the folder `into`."""

    id: str
    revision: str
    source: str
    name: str
    size: int
    sha256: str = ""
    blob: str = ""
    into: str | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a pull brings: the files, and what the hub says of the model."""

    id: str
    revision: str
    licence: str
    few: str = ""
    files: tuple[Wanted, ...] = ()


def pull(name: str, *, to: Path | None = None, progress: Progress | None = None) -> Path:
    """Brings a model here, or the rest of it; returns its folder.

    Args:
        name: a short name or a hub id.
        to: the folder; under the store if None.

    Raises:
        ModelError: no model goes by that name, or the hub cannot be reached.
        WeightsError: a pickled part of it cannot be converted.
        OutputError: the folder cannot be written, or the disk has too little room.
    """
    entry, wanted_id = _named(name)
    if find_spec("huggingface_hub") is None:
        came = "models are pulled with the package huggingface-hub, which is not here"
        raise ModelError(message(came, "install worldreel[open]"))
    found = plan(wanted_id, entry)
    folder = to or hub.place(entry or by_id(wanted_id), wanted_id)
    show = progress or (lambda done, total, doing: None)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        told_before = hub.record(folder)
        kept = told_before.files if told_before is not None else ()
        now = Record(
            id=entry.name if entry and entry.name else wanted_id,
            revision=found.revision,
            licence=found.licence,
            whole=False,
        )
        _room(folder, found.files, kept)
        now.write(folder)
        files = tuple(_brought(folder, found, kept, show, now))
        replace(now, whole=True, files=files).write(folder)
    return folder


def _named(name: str) -> tuple[Entry | None, str]:
    entry = by_name(name)
    if entry is None and not hub.HUB_ID.fullmatch(name):
        raise ModelError(hub.absent(name))
    if entry is None:
        several = [each.name for each in ENTRIES if each.id.lower() == name.lower()]
        if len(several) > 1:
            came = f"{shown(name)} holds several models"
            raise ModelError(message(came, f"name one of {', '.join(several)}"))
        entry = by_id(name)
    return entry, entry.id if entry is not None else name


def plan(wanted_id: str, entry: Entry | None) -> Plan:
    """What the hub has of a model, and which files of it are needed; raises `ModelError`."""
    first = _listing(wanted_id)
    if entry is None or not entry.pickle:
        files = tuple(_chosen(first.files))
    else:
        alone = [each for each in first.files if each.source == entry.pickle]
        base = _listing(entry.base)
        files = (
            *(replace(each, into="transformer") for each in alone),
            *(each for each in _chosen(base.files) if not each.name.startswith("transformer/")),
        )
        if not alone:
            files = ()
    if not any(f.name.endswith(".safetensors") or f.into is not None for f in files):
        came = f"{shown(wanted_id, limit=80)} holds no weights that can be read"
        raise ModelError(message(came, "safetensors are needed"))
    licence = entry.licence if entry else licence_of(first.licence)[0]
    return replace(first, files=files, licence=licence, few=entry.few if entry else "")


def _chosen(files: Iterable[Wanted]) -> Iterator[Wanted]:
    """What is needed; of pickles those that stand at the root, beside safetensors."""
    for each in files:
        if any(fnmatch.fnmatch(each.name, left) for left in LEFT):
            continue
        if any(fnmatch.fnmatch(PurePosixPath(each.name).name, taken) for taken in TAKEN):
            yield each
        elif "/" not in each.name and any(fnmatch.fnmatch(each.name, p) for p in PICKLES):
            yield replace(each, into="")


def _listing(wanted_id: str) -> Plan:
    """All files of a repository as the hub tells them."""
    from huggingface_hub import HfApi

    with _asking(wanted_id):
        info = HfApi(endpoint=ENDPOINT).model_info(wanted_id, files_metadata=True, timeout=60)
    files = []
    for each in info.siblings or []:
        path = PurePosixPath(each.rfilename)
        if path.is_absolute() or ".." in path.parts or "\\" in each.rfilename:
            continue  # names come from strangers, and become paths here
        lfs = each.lfs
        files.append(
            Wanted(
                id=info.id,
                revision=str(info.sha),
                source=each.rfilename,
                name=each.rfilename,
                size=int(each.size or 0),
                sha256=str(lfs.sha256) if lfs else "",
                blob="" if lfs else str(each.blob_id or ""),
            )
        )
    card: Any = info.card_data
    licence = card.get("license") if card is not None else None
    return Plan(
        id=info.id,
        revision=str(info.sha),
        licence=licence if isinstance(licence, str) else "",
        files=tuple(files),
    )


def _brought(
    folder: Path, found: Plan, kept: tuple[File, ...], show: Progress, now: Record
) -> Iterator[File]:
    """Brings file after file; the record follows, so that no file is read twice."""
    total, done = sum(each.size for each in found.files), 0
    files: tuple[File, ...] = ()
    for each in found.files:
        mine = [file for file in kept if each.name in (file.name, file.source)]
        made = [file for file in mine if _same(folder, file, each)]
        if not made or len(made) < len(mine):
            before, doing = done, each.name

            def so_far(count: int, before: int = before, doing: str = doing) -> None:
                show(before + count, total, doing)

            made = _bring(folder, found, each, so_far)
        files = (*files, *made)
        replace(now, files=files).write(folder)
        done += each.size
        show(done, total, each.name)
        yield from made


def _same(folder: Path, file: File, wanted: Wanted) -> bool:
    """Whether a file that was brought before is still there, and what is wanted now."""
    if wanted.into is None and wanted.sha256 and file.sha256 != wanted.sha256:
        return False
    with suppress(OSError):
        now = (folder / file.name).stat()
        return now.st_size == file.size and now.st_mtime_ns == file.seen
    return False


def _bring(folder: Path, found: Plan, wanted: Wanted, show: Callable[[int], None]) -> list[File]:
    target = folder / wanted.name
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (target.is_file() and _right(target, wanted)):
        _download(target, wanted, show)
    if wanted.into is None:
        return [_file(folder, target)]
    into = folder / wanted.into
    into.mkdir(exist_ok=True)
    there = {path.name for path in into.iterdir()}
    made = convert_file(target, into, few=found.few)
    target.unlink()
    card = into / "config.json"
    new = [made.target, *([card] if card.is_file() and card.name not in there else [])]
    return [_file(folder, path, source=wanted.name) for path in new]


def _file(folder: Path, path: Path, *, source: str = "") -> File:
    now = path.stat()
    return File(
        name=path.relative_to(folder).as_posix(),
        size=now.st_size,
        sha256=hub.digest(path),
        seen=now.st_mtime_ns,
        source=source,
    )


def _right(path: Path, wanted: Wanted) -> bool:
    """Whether a file is what the hub has."""
    if path.stat().st_size != wanted.size:
        return False
    if wanted.sha256:
        return hub.digest(path) == wanted.sha256
    if wanted.blob:
        content = path.read_bytes()
        digest = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        return digest.hexdigest() == wanted.blob
    return True


def _download(target: Path, wanted: Wanted, show: Callable[[int], None]) -> None:
    """Brings a file whole, or what is lacking of it."""
    part = target.with_name(f"{target.name}.part")
    if part.is_file() and part.stat().st_size > wanted.size:
        part.unlink()
    with part.open("ab") as opened:
        if opened.tell() < wanted.size:
            _fetch(wanted, _Counted(opened, show))
    if not _right(part, wanted):
        part.unlink()
        came = f"{wanted.source} did not arrive as the hub says it is"
        raise ModelError(message(came, "pull the model again"))
    os.replace(part, target)


def _fetch(wanted: Wanted, into: _Counted) -> None:
    """The bytes of a file from where `into` stands: the hub's library knows mirrors, tokens and
    when to try again, but keeps no part of a file between two calls of its own."""
    from huggingface_hub import hf_hub_url, utils
    from huggingface_hub.file_download import http_get

    utils.disable_progress_bars()  # type: ignore[attr-defined]
    headers = utils.build_hf_headers(library_name="worldreel")  # type: ignore[attr-defined]
    url = hf_hub_url(wanted.id, wanted.source, revision=wanted.revision, endpoint=ENDPOINT)
    with _asking(wanted.id):
        http_get(
            url,
            into,  # type: ignore[arg-type]
            resume_size=into.tell(),
            headers=headers,
            expected_size=wanted.size,
        )


class _Counted:
    """A file that tells how much has been written to it."""

    def __init__(self, file: BinaryIO, show: Callable[[int], None]) -> None:
        self._file, self._show = file, show
        show(file.tell())

    def write(self, data: bytes) -> int:
        count = self._file.write(data)
        self._show(self._file.tell())
        return count

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, to: int, whence: int = 0) -> int:
        return self._file.seek(to, whence)

    def truncate(self, size: int | None = None) -> int:
        return self._file.truncate(size)


def _room(folder: Path, files: tuple[Wanted, ...], kept: tuple[File, ...]) -> None:
    """Raises `OutputError` if the disk has no room for what is lacking."""
    here = {file.name for file in kept} | {file.source for file in kept}
    lacking = 0
    for each in files:
        if each.name in here or (folder / each.name).is_file():
            continue
        part = folder / f"{each.name}.part"
        lacking += each.size - (part.stat().st_size if part.is_file() else 0)
        lacking += each.size if each.into is not None else 0  # until it is converted
    free = shutil.disk_usage(folder).free
    if lacking > free:
        came = f"{told(lacking)} are still to come and the disk has room for {told(free)}"
        raise OutputError(message(came, "make room, or name a folder elsewhere with --to"))


@contextmanager
def _asking(wanted_id: str) -> Iterator[None]:
    """What goes wrong between here and the hub, in one sentence each."""
    from huggingface_hub import errors

    name = shown(wanted_id, limit=80)
    try:
        yield
    except errors.GatedRepoError as error:
        came = f"{name} asks for consent to its licence on its page on the hub"
        raise ModelError(message(came, "give it there, and log in with `hf auth login`")) from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        came = f"the hub has no model {name}, or shows it only to some"
        needed = "check its name, or log in with `hf auth login`"
        raise ModelError(message(came, needed, nearest=hub.near(wanted_id))) from error
    except errors.HfHubHTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", "no")
        came = f"the hub answered {status} when it was asked for {name}"
        raise ModelError(message(came, "try again later")) from error
    except Exception as error:  # each version of the library speaks through another network one
        if isinstance(error, OSError) and error.errno in _DISK:
            raise
        came = f"the hub cannot be reached ({shown(type(error).__name__).strip(chr(34))})"
        raise ModelError(message(came, "what was brought is kept: pull again later")) from error


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or type(error).__name__
        came = f"the model cannot be written to {shown(str(folder), limit=200)} ({why})"
        raise OutputError(message(came, "name another folder with --to")) from error
