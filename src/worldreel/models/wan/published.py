"""How each kind of open weights was published to be used: sizes, rate, length, steps, guidance.

From the configurations that came with the weights (Wan 2.1 and 2.2, SkyReels-V2). A folder may say
otherwise in a file `worldreel.json` of its own, `{"settings": {"fps": 24, "steps": 30}}`, with any
field of `Settings`; a diffusers folder's scheduler says the shift.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from worldreel.errors import WeightsError, message, shown
from worldreel.models.model import Settings

OWN = "worldreel.json"
_NEGATIVE = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，"
    "低质量，JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，"
    "毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)
"""The negative prompt of all of them, in the language they were trained to read it in: garish,
overexposed, still, blurred, subtitles, grey, worst quality, JPEG residue, ugly, extra fingers …"""
_SHAKING, _CUTS = "镜头晃动，", "镜头切换，"  # the camera shakes; cuts
SMALL = ((832, 480), (480, 832), (624, 624), (720, 544), (544, 720))
"""About 832×480 pixels, sides whole multiples of 16; the favourite first."""
MIDDLE = ((960, 544), (544, 960), (720, 720), (832, 624), (624, 832))
LARGE = ((1280, 720), (720, 1280), (960, 960), (1104, 832), (832, 1104))
COARSE = ((1280, 704), (704, 1280), (928, 928), (1088, 832), (832, 1088))
"""About 1280×704, sides whole multiples of 32."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """`settings`, the part of the levels from which on the first of two experts works
    (`boundary`), and the second one's guidance (`late`), None: the same."""

    settings: Settings
    boundary: float = 0.9
    late: float | None = None


def _settings(
    natives: tuple[tuple[int, int], ...],
    *,
    frames: int = 81,
    fps: float = 16.0,
    steps: int = 50,
    guidance: float = 5.0,
    shift: float = 5.0,
    negative: str = _NEGATIVE,
) -> Settings:
    return Settings(
        natives=natives,
        fps=fps,
        seconds=frames / fps,
        longest=frames / fps,
        steps=steps,
        guidance=guidance,
        shift=shift,
        negative=negative,
        step=32 if natives is COARSE else 16,
    )


TABLE = {
    "t2v-small": Published(settings=_settings(SMALL, guidance=6.0, shift=8.0)),
    "t2v": Published(settings=_settings(SMALL + LARGE)),
    "i2v": Published(
        settings=_settings(SMALL + LARGE, steps=40, shift=3.0, negative=_SHAKING + _NEGATIVE)
    ),
    "i2v-large": Published(
        settings=_settings(LARGE + SMALL, steps=40, negative=_SHAKING + _NEGATIVE)
    ),
    "flf2v": Published(
        settings=_settings(LARGE + SMALL, shift=16.0, negative=_CUTS + _SHAKING + _NEGATIVE)
    ),
    "t2v-experts": Published(
        settings=_settings(LARGE + SMALL, steps=40, guidance=4.0, shift=12.0),
        boundary=0.875,
        late=3.0,
    ),
    "i2v-experts": Published(
        settings=_settings(LARGE + SMALL, steps=40, guidance=3.5), boundary=0.9, late=3.5
    ),
    "ti2v": Published(settings=_settings(COARSE, frames=121, fps=24.0)),
    "df": Published(
        settings=_settings(MIDDLE, frames=97, fps=24.0, steps=30, guidance=6.0, shift=8.0)
    ),
    "df-large": Published(
        settings=_settings(LARGE, frames=121, fps=24.0, steps=30, guidance=6.0, shift=8.0)
    ),
}
"""By what can be told of weights from their files; "-large" from their name alone."""


def tell_own(folder: Path, **settings: Any) -> None:
    """Writes settings into the folder's `worldreel.json`, beside those that it has."""
    file = folder / OWN
    told = json.loads(file.read_text()) if file.is_file() else {}
    told["settings"] = {**told.get("settings", {}), **settings}
    file.write_text(json.dumps(told, indent=2) + "\n")


def own_settings(folder: Path, settings: Settings) -> Settings:
    """The settings with what the folder's `worldreel.json` says otherwise, if it has one.

    Raises `WeightsError` if that cannot be understood.
    """
    file = folder / OWN
    if not file.is_file():
        return settings
    try:
        found = json.loads(file.read_text())["settings"]
        names = {field.name for field in fields(Settings)}
        odd = sorted(set(found) - names)
        if odd:
            raise ValueError(f"there is no setting {odd[0]}")
        told: Mapping[str, Any] = dict(found)
        if "natives" in told:
            natives = tuple((int(w), int(h)) for w, h in told["natives"])
            if not natives or min(min(pair) for pair in natives) < 1:
                raise ValueError("natives are sizes in pixels")
            told = {**told, "natives": natives}
        if "magnitudes" in told:
            told = {**told, "magnitudes": tuple(float(ratio) for ratio in told["magnitudes"])}
        return replace(settings, **told)
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        came = f"{OWN} in {shown(folder.name)} cannot be used ({shown(str(error), limit=80)})"
        raise WeightsError(message(came, '{"settings": {…}} with fields of Settings')) from error
