"""`worldreel models`: which models are here and which can be had; pull, convert and check them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from worldreel.errors import ModelError, WeightsError, message
from worldreel.models import catalogue, hub
from worldreel.models.catalogue import Entry, told

if TYPE_CHECKING:
    from worldreel.models.embedded import EmbeddedModel

__all__ = ["check", "convert", "models", "pull"]

Facts = dict[str, Any]


def models(arguments: argparse.Namespace) -> None:
    """List what is here and what can be pulled; a damaged model is listed with what is wrong."""
    found = [_embedded(), *_known(), *_others()]
    if arguments.json:
        print(json.dumps(found))
        return
    print(_told(found[0]))
    print("\nOpen weights (disk and memory in GB; offload: blocks brought to the GPU one by one):")
    rows = [_row(facts) for facts in found[1:]]
    head = ("name", "does", "disk", "GPU", "offload", "licence", "here")
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = (
            cell.rjust(width) if 2 <= i <= 4 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        print("  " + "  ".join(cells).rstrip())


def _embedded() -> Facts:
    from worldreel.models.embedded import ASSETS, EMBEDDED, load_embedded

    try:
        return _facts(load_embedded(ASSETS / EMBEDDED))
    except WeightsError as error:
        return {"name": EMBEDDED, "installed": False, "error": str(error)}


def _facts(model: EmbeddedModel) -> Facts:
    parts = (model.codec, model.text, model.transformer)
    settings = model.settings
    return {
        "name": model.name,
        "installed": True,
        "licence": catalogue.APACHE,
        "parameters": sum(p.numel() for part in parts for p in part.parameters()),
        "native_sizes": [f"{width}x{height}" for width, height in settings.natives],
        "fps": settings.fps,
        "seconds": settings.seconds,
        "longest": settings.longest,
        "steps": settings.steps,
        "guidance": settings.guidance,
        "weights_sha256": model.sha256,
    }


def _known() -> list[Facts]:
    """Every model that has a short name, whether it is here or not."""
    return [_entry(entry, entry.name) for entry in catalogue.ENTRIES if entry.name]


def _entry(entry: Entry, name: str) -> Facts:
    folder, memory = hub.find(name), entry.memory
    return {
        "name": name,
        "id": entry.id,
        "does": list(entry.does),
        "licence": entry.licence,
        "commercial": entry.commercial,
        "parameters": entry.parameters,
        "bytes": entry.bytes if folder is None else _size(folder),
        "memory": {"gpu": memory.device, "offload": memory.offload, "main": memory.main},
        **_state(folder),
    }


def _others() -> list[Facts]:
    """What is in the store besides."""
    names = {entry.name for entry in catalogue.ENTRIES if entry.name}
    found: list[Facts] = []
    for folder in hub.installed():
        if folder.name in names:
            continue
        record = hub.record(folder)
        name = record.id if record is not None else folder.name
        entry = catalogue.by_id(name)
        if entry is not None and not entry.name:
            found.append(_entry(entry, name))
            continue
        licence = record.licence if record is not None else "unknown"
        facts = {"name": name, "licence": licence, "bytes": _size(folder)}
        found.append(facts | _state(folder))
    return found


def _state(folder: Path | None) -> Facts:
    record = hub.record(folder) if folder is not None else None
    whole = folder is not None and (record is None or record.whole)
    return {"installed": whole, "folder": str(folder) if folder is not None else None}


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _row(facts: Facts) -> tuple[str, ...]:
    memory = facts.get("memory")
    here = "yes" if facts["installed"] else "in part" if facts["folder"] else "-"
    return (
        facts["name"],
        ", ".join(facts.get("does", ["?"])),
        _gigabytes(facts["bytes"]),
        _gigabytes(memory["gpu"]) if memory else "?",
        _gigabytes(memory["offload"]) if memory else "?",
        facts["licence"],
        here,
    )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.0f}" if size >= 1e10 else f"{size / 1e9:.1f}"


def _told(facts: Facts) -> str:
    if "error" in facts:
        return f"{facts['name']}: {facts['error']}"
    return (
        f"{facts['name']}: {facts['parameters'] / 1e6:.1f} M parameters; "
        f"{', '.join(facts['native_sizes'])} at {facts['fps']:g} fps, "
        f"{facts['seconds']:g} s (up to {facts['longest']:g} s); "
        f"{facts['steps']} steps, guidance {facts['guidance']:g}; "
        f"weights {facts['weights_sha256'][:12]}"
    )


def pull(arguments: argparse.Namespace) -> None:
    """Bring a model from the hub, or the rest of it."""
    from worldreel.commands.progress import bar
    from worldreel.models.pull import pull

    name = arguments.name
    if name == hub.EMBEDDED:
        raise ModelError(message("the embedded model is part of worldreel", "nothing to pull"))
    to = Path(arguments.to).expanduser() if arguments.to else None
    entry = catalogue.by_name(name) or catalogue.by_id(name)
    if entry is not None and not entry.commercial:
        print(f"worldreel: {name} may not be used commercially.", file=sys.stderr)
    with bar(f"pulling {name}") as show:

        def progress(done: int, total: int, doing: str) -> None:
            show(done / max(1, total), f"{doing}, {told(done)} of {told(total)}")

        try:
            folder = pull(name, to=to, progress=progress)
        except KeyboardInterrupt:
            print("worldreel: what was brought is kept; the same pull goes on.", file=sys.stderr)
            raise
    record = hub.record(folder)
    assert record is not None, "a pull leaves a record"
    licence, commercial = catalogue.licence_of(record.licence)
    facts = {
        "name": name,
        "folder": str(folder),
        "bytes": sum(file.size for file in record.files),
        "files": len(record.files),
        "revision": record.revision,
        "licence": licence,
        "commercial": commercial if entry is None else entry.commercial,
    }
    if arguments.json:
        print(json.dumps(facts))
        return
    size = told(facts["bytes"])
    print(f"{folder}: {size} in {facts['files']} files; licence: {licence}")
    if facts["commercial"] is None:
        print("Read its licence on its page before you use it.")


def convert(arguments: argparse.Namespace) -> None:
    """Make safetensors of the pickled weights in a folder."""
    from worldreel.models.convert import convert

    done = []
    for each in convert(Path(arguments.folder).expanduser()):
        done.append(
            {
                "source": each.source.name,
                "target": str(each.target),
                "tensors": each.tensors,
                "left_out": each.left,
                "sha256": each.sha256,
            }
        )
        if not arguments.json:
            rest = f", {each.left} that no network needs left out" if each.left else ""
            made = f"{each.tensors} tensors{rest}" if each.sha256 else "converted before"
            print(f"{each.source.name} → {each.target.name}: {made}")
    if arguments.json:
        print(json.dumps(done))


def check(arguments: argparse.Namespace) -> None:
    """Read every file of a pulled model, and compare it with its checksum."""
    folder = hub.resolve(arguments.name)
    if hub.record(folder) is None:
        came = f"{folder.name} was not pulled by worldreel"
        raise ModelError(message(came, "only the hub's checksums can be compared with"))
    count = hub.check(folder, again=True)
    if arguments.json:
        print(json.dumps({"name": arguments.name, "folder": str(folder), "files": count}))
    else:
        print(f"{folder}: all {count} files have their checksums")
