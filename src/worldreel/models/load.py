"""A model by its name: ours, or open weights that somebody else trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from worldreel.errors import OutputError, WeightsError, message, shown
from worldreel.models import hub
from worldreel.models.embedded import (
    ASSETS,
    CARD,
    EMBEDDED,
    load_embedded,
    read_settings,
    set_settings,
)
from worldreel.models.model import Model, Settings
from worldreel.models.offload import stream
from worldreel.models.running import Running, device_of
from worldreel.models.wan.published import tell_own
from worldreel.request import Lora
from worldreel.transformer.model import Transformer

__all__ = ["keep", "load_model", "names", "settings_of"]


def names() -> tuple[str, ...]:
    """Models that are in the package."""
    return (EMBEDDED,)


def load_model(
    name: str = EMBEDDED,
    *,
    device: str | torch.device = "cpu",
    loras: Sequence[Lora] = (),
    fp8: str = "",
    offload: bool = False,
    compiled: bool = False,
) -> Model:
    """A model by name, or by the path of its folder, with LoRAs fused into its weights; how it is
    to be run is said as `running.Running` has it, `device` also as "auto".

    Raises:
        ModelError: no model goes by that name.
        RequestError: a LoRA is for a network that the model has not, or there is no such device.
        WeightsError: its weights or a LoRA are missing, damaged or do not fit.
    """
    running = Running(device=device_of(device), fp8=fp8, offload=offload, compiled=compiled)
    folder = _folder(name)
    if (folder / CARD).is_file():
        own = load_embedded(folder, name=name, device=running.device)
        _put([own.transformer], loras)
        running.prepare(own.transformer)
        if running.offload:
            stream(own.transformer, running.device)
        return own
    from worldreel.models.wan.pipeline import load_open  # who runs our own model need not wait

    found = load_open(folder, name=name, running=running)
    if loras:  # or else the transformers come when they are needed, after the text encoder has left
        _put([expert.transformer for expert in found.experts], loras)
    return found


def settings_of(name: str = EMBEDDED) -> Settings:
    """What a model makes if it is not told otherwise, without reading its weights.

    Raises as `load_model` does.
    """
    folder = _folder(name)
    if (folder / CARD).is_file():
        return read_settings(folder)
    from worldreel.models.wan.pipeline import settings_of_open

    return settings_of_open(folder, name=name)


def keep(name: str, magnitudes: Sequence[float]) -> None:
    """Writes what was measured of a model's answers into its folder (`Settings.magnitudes`).

    Raises as `load_model` does, and `OutputError` if the folder cannot be written.
    """
    folder = _folder(name)
    try:
        if (folder / CARD).is_file():
            settings = replace(read_settings(folder), magnitudes=tuple(magnitudes))
            set_settings(folder, settings)
        else:
            tell_own(folder, magnitudes=list(magnitudes))
    except OSError as error:
        came = f"the folder of {shown(name)} cannot be written"
        raise OutputError(message(came, "one that you may write")) from error


def _folder(name: str) -> Path:
    folder = ASSETS / EMBEDDED if name == EMBEDDED else hub.resolve(name)
    if not folder.is_dir():
        raise WeightsError(message("the embedded model is missing", "install worldreel again"))
    return folder


def _put(networks: Sequence[Transformer], loras: Sequence[Lora]) -> None:
    if loras:
        from worldreel.models.lora import put_loras

        put_loras(networks, loras)
