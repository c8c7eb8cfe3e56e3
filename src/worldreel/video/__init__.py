"""Video: frames and a frame rate, read from and written to files, and laid out on sheets.

Imported on first use: the process that decodes foreign files (`reader.py`) needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from worldreel.video.sheet import contact_sheet
    from worldreel.video.video import Video
    from worldreel.video.write import check_image, check_output, save_image

__all__ = ["Video", "check_image", "check_output", "contact_sheet", "save_image"]

_HOMES = {"Video": "video", "contact_sheet": "sheet"}


def __getattr__(name: str) -> Any:
    """One of `__all__`, from the module that defines it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'write')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
