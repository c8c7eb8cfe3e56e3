"""What no schema can say: which prompts the policy refuses, and which bytes are a picture.

Schemathesis loads this (`SCHEMATHESIS_HOOKS`). Data that it made to be wrong is left as it is; in
data that it made to be right, files become real ones and refused prompts others.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import av
import numpy as np
import schemathesis
from PIL import Image
from schemathesis.transport.serialization import Binary

from worldreel.safety import review


def picture() -> bytes:
    """A PNG."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(file, "PNG")
    return file.getvalue()


def clip() -> bytes:
    """An MP4 of one second."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(8):
            frame = np.full((64, 96, 3), number * 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


FILES = {"input_reference": picture(), "video": clip()}
DATA = "data:image/png;base64," + base64.b64encode(FILES["input_reference"]).decode()


def _real(name: str, value: Any) -> Any:
    if isinstance(value, Binary):
        value.data = FILES.get(name, value.data)
    if name in ("prompt", "name") and type(value) is str and not review(value).allowed:
        return "a red ball"
    if isinstance(value, dict) and "image_url" in value:
        return {"image_url": DATA}
    return value


def _together(body: dict[str, Any]) -> None:
    """What fields say of each other: sides at most 3:1, 120 seconds in all."""
    if "num_frames" in body:
        body["num_frames"] = min(body["num_frames"] or 12, int(100 * float(body.get("fps") or 8)))
    if "video" in body and "seconds" in body:  # what is made and what is there already
        body["seconds"] = str(min(float(body["seconds"]), 100))
    sides = [int(side) for side in str(body.get("size") or "1x1").split("x")]
    if max(sides) > 3 * min(sides):
        body["size"] = f"{sides[0]}x{sides[0]}"
    for side in ("width", "height"):
        if side in body:
            body[side] = max(body[side] or 640, 640)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Mends right data."""
    if case.meta is None or not isinstance(case.body, dict):
        return
    if all(part.mode.is_positive for part in case.meta.components.values()):
        for name, value in case.body.items():
            case.body[name] = _real(name, value)
        _together(case.body)
