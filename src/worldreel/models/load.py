"""A model by its name: ours, or open weights that somebody else trained."""

from __future__ import annotations

from pathlib import Path

import torch

from worldreel.errors import ModelError, WeightsError, message, shown
from worldreel.models.embedded import ASSETS, EMBEDDED, load_embedded
from worldreel.models.model import Model

__all__ = ["load_model", "names"]


def names() -> tuple[str, ...]:
    """Models that are in the package."""
    return (EMBEDDED,)


def load_model(name: str = EMBEDDED, *, device: str | torch.device = "cpu") -> Model:
    """A model by name, or by the path of its folder.

    Raises:
        ModelError: no model goes by that name.
        WeightsError: its weights are missing or damaged.
    """
    folder = ASSETS / EMBEDDED if name == EMBEDDED else Path(name)
    if not folder.is_dir():
        if name == EMBEDDED:
            raise WeightsError(message("the embedded model is missing", "install worldreel again"))
        came = f"there is no model {shown(name)}"
        raise ModelError(message(came, "name a model or a folder with one", nearest=EMBEDDED))
    return load_embedded(folder, name=name, device=device)
