"""Where a video comes from, said inside its file in a way that others can check (C2PA 2.4).

    sign(path, recipe, created=True)   a manifest into an MP4, WebP, PNG, GIF or JPEG
    read(path)                         the manifest of any file, checked; None if there is none
    inspect(path)                      was it made by us, and is it as it was made?

A manifest is a list of statements (how it was made, from what, whether others may learn from it)
and hashes of them and of the file, signed with a key of this machine. It proves what is there; that
there is none proves nothing, for anybody can take it off. No torch here; imported on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldreel.provenance.claim import Watermark
    from worldreel.provenance.evidence import Evidence
    from worldreel.provenance.ingredients import Ingredient
    from worldreel.provenance.reading import Manifest, read
    from worldreel.provenance.report import Report, inspect
    from worldreel.provenance.signing import Signed, sign
    from worldreel.provenance.store import Settings
    from worldreel.provenance.unhashed import Unhashed

__all__ = [
    "Evidence",
    "Ingredient",
    "Manifest",
    "Report",
    "Settings",
    "Signed",
    "Unhashed",
    "Watermark",
    "inspect",
    "read",
    "sign",
]

_HOMES = {
    "Evidence": "evidence",
    "Ingredient": "ingredients",
    "Manifest": "reading",
    "Report": "report",
    "Settings": "store",
    "Signed": "signing",
    "Unhashed": "unhashed",
    "Watermark": "claim",
    "inspect": "report",
    "read": "reading",
    "sign": "signing",
}


def __getattr__(name: str) -> Any:
    """One of `__all__`, from the module that defines it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
