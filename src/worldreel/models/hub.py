"""Models on this machine, and how they come here from the hub.

A model is a folder: one that a person names, one under `store()` that was pulled, or one in the
cache that other programs pull to. A pulled folder holds a record (`pulled.json`) of every file's
size and SHA-256 as the hub told them, and of when the file was last found to be so: a file that
has been changed since is read again before it is used, the others cost nothing to check.

A file comes in pieces that are kept: it grows under the name FILE.part, a pull that was
interrupted goes on at the byte where it stopped, and only a file with the right checksum gets
its name.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from worldreel import latents
from worldreel.errors import ModelError, WeightsError, message, shown
from worldreel.models.catalogue import ENTRIES, Entry, by_id, by_name

__all__ = [
    "RECORD",
    "File",
    "Record",
    "absent",
    "cached",
    "check",
    "digest",
    "find",
    "installed",
    "near",
    "place",
    "record",
    "resolve",
    "store",
]

RECORD = "pulled.json"
EMBEDDED = "embedded"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_PIECE = 2**22


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of a model: `name` within the folder, `size` in bytes, `sha256`, and `seen`, its time
    of change in nanoseconds when it last had that checksum. `source` is the file on the hub that it
    was made of, if it is not that file itself."""

    name: str
    size: int
    sha256: str
    seen: int = 0
    source: str = ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a folder was pulled from; `whole` once everything is there."""

    id: str
    revision: str
    licence: str
    whole: bool
    files: tuple[File, ...] = ()

    def write(self, folder: Path) -> None:
        """Puts the record into the folder, in one piece."""
        beside = folder / f"{RECORD}.part"
        beside.write_text(json.dumps(asdict(self), indent=1) + "\n")
        os.replace(beside, folder / RECORD)


def record(folder: Path) -> Record | None:
    """The record of a pulled folder; None if it was not pulled, or the record is damaged."""
    try:
        found = json.loads((folder / RECORD).read_text())
        files = tuple(File(**each) for each in found.pop("files"))
        return Record(**found, files=files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def store() -> Path:
    """Where pulled models lie: beside the kept latents, under `WORLDREEL_HOME` if that is set."""
    return latents.folder().parent / "models"


def place(entry: Entry | None, name: str) -> Path:
    """The folder under the store for a model of that name."""
    if entry is not None and entry.name:
        return store() / entry.name
    return store() / (entry.id if entry else name).replace("/", "--")


def resolve(name: str) -> Path:
    """The folder of a model: by its short name, its hub id or its path.

    Raises:
        ModelError: there is none, or it has not been pulled (to the end).
        WeightsError: it was pulled and has been changed or damaged since.
    """
    folder = find(name)
    if folder is None:
        raise ModelError(absent(name))
    told = record(folder)
    if told is not None:
        if not told.whole:
            came = f"the model {shown(name)} is here only in part"
            raise ModelError(message(came, f"`worldreel models pull {told.id}` goes on with it"))
        check(folder)
    return folder


def find(name: str) -> Path | None:
    """As `resolve`, without a look inside; None if there is no such folder."""
    if not name or "\0" in name:
        return None
    entry = by_name(name)
    if entry is not None:
        mine = place(entry, name)
        if mine.is_dir():
            return mine
        if not entry.pickle and (elsewhere := cached(entry.id)) is not None:
            return elsewhere
    with suppress(OSError, RuntimeError):  # a name too long for the system is no folder's
        path = Path(name).expanduser()
        if path.is_dir():
            return path
    if entry is None and HUB_ID.fullmatch(name):
        for each in (place(by_id(name), name), place(None, name)):
            if each.is_dir():
                return each
        return cached(name)
    return None


def absent(name: str) -> str:
    """The sentence that says that there is no such model here, and what to do about it."""
    entry = by_name(name) or (by_id(name) if HUB_ID.fullmatch(name) else None)
    if entry is not None:
        came = f"the model {shown(name)} is not here"
        return message(came, f"`worldreel models pull {entry.name or entry.id}` brings it")
    came = f"there is no model {shown(name)}"
    if HUB_ID.fullmatch(name):
        return message(came, f"`worldreel models pull {name}` brings it if the hub has it")
    needed = "name a model of `worldreel models`, a hub id or a folder with one"
    return message(came, needed, nearest=near(name))


def near(name: str) -> str:
    """The name of a model that is most like this one."""
    known = {EMBEDDED: EMBEDDED}
    known |= {folder.name.lower(): folder.name for folder in installed()}
    for entry in ENTRIES:
        if entry.name:
            known |= {entry.name: entry.name, entry.id.lower(): entry.id}
    found = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
    return known[found[0]] if found else EMBEDDED


def installed() -> tuple[Path, ...]:
    """Folders under the store, sorted by name."""
    try:
        found = sorted(path for path in store().iterdir() if path.is_dir())
    except OSError:
        return ()
    return tuple(path for path in found if (path / RECORD).is_file() or _model(path))


def _model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("model_index.json", "config.json"))


def cached(name: str) -> Path | None:
    """The folder of a hub id in the cache that programs on this machine share, if the whole
    pipeline is there: the newest snapshot."""
    home = os.environ.get("HF_HUB_CACHE")
    if not home:
        above = os.environ.get("HF_HOME")
        home = str(Path(above) / "hub" if above else Path.home() / ".cache/huggingface/hub")
    repository = Path(home) / f"models--{name.replace('/', '--')}"
    try:
        snapshots = sorted(
            (path for path in (repository / "snapshots").iterdir() if path.is_dir()),
            key=lambda path: path.stat().st_mtime,
        )
    except OSError:
        return None
    whole = [path for path in snapshots if _model(path) and any(path.rglob("*.safetensors"))]
    return whole[-1] if whole else None


def check(folder: Path, *, again: bool = False) -> int:
    """Checks that all files of a pulled folder are what the hub said; how many there are.

    Only what has been changed since it was last found right is read, or everything if `again`.
    Raises `WeightsError` for a file that is missing, cut short or of another checksum.
    """
    told = record(folder)
    if told is None:
        return 0
    files = tuple(_checked(folder, file, again=again) for file in told.files)
    if files != told.files:
        with suppress(OSError):  # a store that cannot be written is checked again the next time
            replace(told, files=files).write(folder)
    return len(files)


def _checked(folder: Path, file: File, *, again: bool) -> File:
    path = folder / file.name
    needed = "pull the model again"
    try:
        now = path.stat()
    except OSError as error:
        came = f"the model's file {file.name} is missing"
        raise WeightsError(message(came, needed)) from error
    if now.st_size != file.size:
        came = f"the model's file {file.name} has {now.st_size} bytes instead of {file.size}"
        raise WeightsError(message(came, needed))
    if now.st_mtime_ns == file.seen and not again:
        return file
    if digest(path) != file.sha256:
        came = f"the model's file {file.name} is not the one that its checksum names"
        raise WeightsError(message(came, needed))
    return replace(file, seen=now.st_mtime_ns)


def digest(path: Path) -> str:
    """The SHA-256 of a file; raises `WeightsError` if it cannot be read."""
    try:
        with path.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        came = f"the model's file {path.name} cannot be read"
        raise WeightsError(message(came, "check its rights and the disk")) from error
