"""The process that lets the C2PA library at files of strangers, so that no other has to.

    python -c "… worker.main()"        (see process.py, which starts it)

One JSON task a line on standard input, one JSON answer a line on standard output. It limits its own
memory and time and may crash: whoever started it is safe. The tasks:

    sign     a manifest into a copy of a file      → {"manifest": it, in base64}
    read     the manifest of a file, checked       → {"state", "crjson", "altered", "unhashed"}
    remark   the recipe in a file's remark         → {"recipe"}
    measure  what a file of ours holds             → {"width", "height", "frames"}

Nothing is ever fetched from the network but the time stamp that the user asked for.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from worldreel.errors import WorldreelError
from worldreel.provenance.ingredients import kind_of
from worldreel.provenance.jumbf import altered, stored
from worldreel.provenance.unhashed import place, unhashed

__all__ = ["LONGEST_ANSWER", "done", "main"]

LONGEST_ANSWER = 16_000_000
"""Characters of a manifest; ours have ten thousand."""
_MEMORY = 2 * 2**30
_CPU_SECONDS = 120
_MANIFEST_MB = 16


def main() -> None:
    """Does the tasks that come in, until there are no more."""
    _set_limits()
    for line in sys.stdin:
        print(json.dumps(done(json.loads(line))), flush=True)


def done(task: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one task; whatever goes wrong is in its entry "error"."""
    try:
        return _TASKS[task["do"]](task)
    except WorldreelError as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "it needs too much memory"}
    except Exception as error:  # the library meets broken files with errors of every kind
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def _set_limits() -> None:
    try:
        import resource
    except ImportError:  # Windows has none of these; the time-out remains
        return
    for name, most in {"AS": _MEMORY, "CPU": _CPU_SECONDS, "CORE": 0}.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        with suppress(ValueError, OSError):
            soft, hard = resource.getrlimit(kind)  # type: ignore[arg-type]
            known = [v for v in (soft, hard, most) if v != resource.RLIM_INFINITY]
            resource.setrlimit(kind, (min(known), hard))  # type: ignore[arg-type]


def _context(anchors: str, hosts: list[str]) -> Any:
    """The library's settings: our anchors, no pictures of its own making, no network."""
    import c2pa

    values: dict[str, Any] = {
        "builder": {"thumbnail": {"enabled": False}},
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        "core": {
            "allowed_network_hosts": hosts,
            "allow_redirects": False,
            "max_decompressed_manifest_size_in_mb": _MANIFEST_MB,
        },
    }
    if anchors:
        values["trust"] = {"trust_anchors": anchors}
    return c2pa.Context.from_dict(values)


def _sign(task: Mapping[str, Any]) -> dict[str, Any]:
    import c2pa

    stamp = task.get("timestamp") or None
    hosts = [urlsplit(stamp).netloc] if stamp else []
    info = c2pa.C2paSignerInfo(
        task["algorithm"], task["chain"].encode(), task["key"].encode(), stamp
    )
    with ExitStack() as stack:
        context = stack.enter_context(_context(task["anchors"], hosts))
        builder = stack.enter_context(c2pa.Builder(task["manifest"], context))
        for told in task["ingredients"]:
            _add(builder, told)
        signer = stack.enter_context(c2pa.Signer.from_info(info))
        source = stack.enter_context(open(task["source"], "rb"))
        target = stack.enter_context(open(task["target"], "w+b"))
        if stamp:
            _end_after(task["seconds"])
        made = builder.sign(signer, task["kind"], source, target)
        return {"manifest": base64.b64encode(made).decode()}


def _end_after(seconds: float) -> None:
    """End this process then, even while the library waits for a server."""
    import signal

    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _add(builder: Any, told: Mapping[str, Any]) -> None:
    """One ingredient; of a file that cannot be read as media only what we know is said."""
    import io

    if not told["path"]:
        builder.add_ingredient(told["about"], "application/octet-stream", io.BytesIO())
        return
    with open(told["path"], "rb") as file:
        kind = kind_of(file.read(12)) or "application/octet-stream"
        file.seek(0)
        builder.add_ingredient(told["about"], kind, file)


def _read(task: Mapping[str, Any]) -> dict[str, Any]:
    import c2pa

    with open(task["path"], "rb") as file:
        kind = kind_of(file.read(12))
        file.seek(0)
        with _context(task["anchors"], []) as context:
            try:
                reader = c2pa.Reader.try_create(kind, file, context=context)
            except c2pa.C2paError.NotSupported:
                return {"none": True, "unsupported": True}
            except c2pa.C2paError as error:
                if not str(error).startswith("Remote"):
                    raise
                return {"none": True, "remote": str(error).rpartition(" ")[2][:500]}
            if reader is None:
                return {"none": True}
            with reader:
                text = reader.crjson()
                state = reader.get_validation_state()
        if len(text) > LONGEST_ANSWER:
            return {"error": "its manifest is too long"}
        return {"state": state, "crjson": text} | _bytes(file, json.loads(text))


def _bytes(file: BinaryIO, crjson: Mapping[str, Any]) -> dict[str, Any]:
    """What the library does not look at: the manifest's own bytes."""
    manifest = (crjson.get("manifests") or [{}])[0]
    try:
        where = place(file, manifest)
        store = stored(file, *where) if where is not None else None
        wrong = altered(store, manifest) if store is not None else []
        return {"altered": wrong, "unhashed": unhashed(file, manifest)}
    except (AttributeError, KeyError, TypeError, ValueError):  # words that mean nothing to us
        return {}


def _remark(task: Mapping[str, Any]) -> dict[str, Any]:
    from worldreel.recipe import extract

    return {"recipe": extract(task["path"])}


def _measure(task: Mapping[str, Any]) -> dict[str, Any]:
    path = Path(task["path"])
    with path.open("rb") as file:
        film = kind_of(file.read(12)).startswith("video/")
    return _film(path) if film else _picture(path)


def _film(path: Path) -> dict[str, Any]:
    import av

    with av.open(f"file:{path}", options={"protocol_whitelist": "file"}) as container:
        stream = container.streams.video[0]
        frames = sum(1 for packet in container.demux(stream) if packet.size)
        return {"width": stream.width, "height": stream.height, "frames": frames}


def _picture(path: Path) -> dict[str, Any]:
    from PIL import Image

    with Image.open(path) as image:
        frames = int(getattr(image, "n_frames", 1))
        return {"width": image.width, "height": image.height, "frames": frames}


_TASKS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "sign": _sign,
    "read": _read,
    "remark": _remark,
    "measure": _measure,
}
