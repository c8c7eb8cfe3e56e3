"""A model by its name: ours, or open weights that somebody else trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from worldreel.errors import WeightsError, message
from worldreel.models import hub
from worldreel.models.embedded import ASSETS, CARD, EMBEDDED, load_embedded, read_settings
from worldreel.models.model import Model, Settings
from worldreel.request import Lora
from worldreel.transformer.model import Transformer

__all__ = ["load_model", "names", "settings_of"]


def names() -> tuple[str, ...]:
    """Models that are in the package."""
    return (EMBEDDED,)


def load_model(
    name: str = EMBEDDED, *, device: str | torch.device = "cpu", loras: Sequence[Lora] = ()
) -> Model:
    """A model by name, or by the path of its folder, with LoRAs fused into its weights.

    Raises:
        ModelError: no model goes by that name.
        RequestError: a LoRA is for a network that the model has not.
        WeightsError: its weights or a LoRA are missing, damaged or do not fit.
    """
    folder = _folder(name)
    if (folder / CARD).is_file():
        own = load_embedded(folder, name=name, device=device)
        _put([own.transformer], loras)
        return own
    from worldreel.models.wan.pipeline import load_open  # who runs our own model need not wait

    found = load_open(folder, name=name, device=device)
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


def _folder(name: str) -> Path:
    folder = ASSETS / EMBEDDED if name == EMBEDDED else hub.resolve(name)
    if not folder.is_dir():
        raise WeightsError(message("the embedded model is missing", "install worldreel again"))
    return folder


def _put(networks: Sequence[Transformer], loras: Sequence[Lora]) -> None:
    if loras:
        from worldreel.models.lora import put_loras

        put_loras(networks, loras)
