"""The same wishes by the names that other servers gave them, brought to ours.

What both name stays as ours says it. Fields that nobody here knows are left: the answer tells them
as ignored.
"""

from __future__ import annotations

from typing import Any

from worldreel.errors import WorldreelError
from worldreel.shapes import aspect_size, parse_aspect

__all__ = ["common"]

_NAMES = {
    "frames_per_second": "fps",
    "reference_url": "input_reference",
    "image_reference": "input_reference",
    "true_cfg_scale": "guidance_scale",
}
_AREA = 720 * 1280


def common(values: dict[str, Any]) -> dict[str, Any]:
    """The values of a request under the names of `schema`."""
    found = dict(values)
    inner = found.pop("video_params", None)
    if isinstance(inner, dict):
        found = {**inner, **found}
    elif inner is not None:
        found["video_params"] = inner
    for theirs, ours in _NAMES.items():
        if found.get(theirs) is not None and found.get(ours) is None:
            found[ours] = found.pop(theirs)
    if found.get("lora") is not None and found.get("loras") is None:
        found["loras"] = [found.pop("lora")]
    reference = found.get("input_reference")
    if isinstance(reference, list) and len(reference) == 1:
        reference = reference[0]
    if isinstance(reference, str):
        reference = {"image_url": reference}
    if reference is not None:
        found["input_reference"] = reference
    return _with_size(found)


def _with_size(values: dict[str, Any]) -> dict[str, Any]:
    """An aspect alone becomes a size of about the API's own area."""
    aspect = values.get("aspect_ratio")
    if not isinstance(aspect, str) or values.get("size") or values.get("width"):
        return values
    try:
        width, height = aspect_size(parse_aspect(aspect), area=_AREA)
    except WorldreelError:
        return values
    rest = {name: value for name, value in values.items() if name != "aspect_ratio"}
    return rest | {"size": f"{width}x{height}"}
