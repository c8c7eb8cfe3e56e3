"""What open weights of the Wan family were trained to do, and how that is told.

    T2V            text to video: one level for the whole clip
    I2V            the same, with a mask and known latents as further channels
    FLF2V          the same, with the states of a first and a last frame
    TI2V           a level a patch: what is known has level 0
    DF             a level a frame (SkyReels-V2's diffusion forcing)
    DMD            FastWan: three levels, no guidance
    SELF_FORCING   four levels, no guidance, block by block
    RCM            up to four levels of its own, no guidance

The first five differ in their networks. Few-step weights have the same networks as those they were
distilled from, so only a name tells: that of the pipeline, of the hub id, the folder or the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from worldreel.diffusion.fewsteps import dmd_schedule, rcm_schedule, self_forcing_schedule
from worldreel.diffusion.solvers import Schedule
from worldreel.transformer.config import TransformerConfig


class Kind(Enum):
    """See the module's docstring."""

    T2V = "t2v"
    I2V = "i2v"
    FLF2V = "flf2v"
    TI2V = "ti2v"
    DF = "df"
    DMD = "dmd"
    SELF_FORCING = "self-forcing"
    RCM = "rcm"

    @property
    def few(self) -> bool:
        """Whether it was distilled to a list of levels: few steps, and no guidance."""
        return self in (Kind.DMD, Kind.SELF_FORCING, Kind.RCM)


NAMED = (
    (Kind.RCM, r"\brcm\b"),
    (Kind.SELF_FORCING, r"self-?forcing|\bsfwan|causal-?dmd"),
    (Kind.DMD, r"fastwan|\bdmd|dmdpipeline"),
    (Kind.DF, r"skyreels.*\bdf\b|diffusionforcing"),
)
"""What a name says, the first that fits; underscores and slashes count as hyphens."""


def kind_of(
    config: TransformerConfig,
    found: Mapping[str, Any],
    *,
    names: str,
    index: Mapping[str, Any] | None = None,
) -> Kind:
    """The kind of weights with this network.

    `found` is the transformer's config.json; `names` are the hub id, folder and file, as far as
    they are known; `index` is model_index.json, where there is one.
    """
    index = index or {}
    said = f"{names} {index.get('_class_name', '')}".lower()
    said = re.sub(r"[_/\\]", "-", said)
    for kind, pattern in NAMED:
        if re.search(pattern, said):
            return kind
    if config.rates:
        return Kind.DF
    if config.beside:
        return Kind.FLF2V if _first_and_last(config, found) else Kind.I2V
    ti2v = found.get("model_type") == "ti2v" or index.get("expand_timesteps")
    return Kind.TI2V if ti2v or config.channels == 48 else Kind.T2V


def _first_and_last(config: TransformerConfig, found: Mapping[str, Any]) -> bool:
    return config.image_places is not None or found.get("model_type") == "flf2v"


def level_a_patch(kind: Kind, config: TransformerConfig) -> bool:
    """Whether the network was trained with levels that differ within a clip, so that what is known
    can simply be clean. FastWan of 2.2's 5B is."""
    return kind in (Kind.TI2V, Kind.DF) or (kind is Kind.DMD and config.channels == 48)


def few_schedule(kind: Kind, steps: int, *, image: bool = False) -> Schedule:
    """The levels of few-step weights (`image`: those that start from a given image).

    Raises `RequestError` for more steps than they were trained for.
    """
    if kind is Kind.RCM:
        return rcm_schedule(steps, largest=200.0 if image else 80.0)
    assert kind.few, kind
    return dmd_schedule(steps) if kind is Kind.DMD else self_forcing_schedule(steps)


def rate_number(fps: float) -> int:
    """The number by which a network that is told frame rates knows one: 16 a second, or 24."""
    return 0 if round(fps) == 16 else 1
