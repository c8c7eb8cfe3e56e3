"""`worldreel models`: which models are here and what they make."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from worldreel.errors import WeightsError

if TYPE_CHECKING:
    from worldreel.models.model import Model

__all__ = ["models"]


def models(arguments: argparse.Namespace) -> None:
    """List every model that goes by a name; a damaged one is listed with what is wrong."""
    from worldreel.models.load import load_model, names

    found: list[dict[str, Any]] = []
    for name in names():
        try:
            found.append(_facts(load_model(name)))
        except WeightsError as error:
            found.append({"name": name, "error": str(error)})
    if arguments.json:
        print(json.dumps(found))
        return
    for facts in found:
        print(_told(facts))


def _facts(model: Model) -> dict[str, Any]:
    from worldreel.models.embedded import EmbeddedModel

    assert isinstance(model, EmbeddedModel), "only those go by a name"
    parts = (model.codec, model.text, model.transformer)
    settings = model.settings
    return {
        "name": model.name,
        "parameters": sum(p.numel() for part in parts for p in part.parameters()),
        "native_sizes": [f"{width}x{height}" for width, height in settings.natives],
        "fps": settings.fps,
        "seconds": settings.seconds,
        "longest": settings.longest,
        "steps": settings.steps,
        "guidance": settings.guidance,
        "weights_sha256": model.sha256,
    }


def _told(facts: dict[str, Any]) -> str:
    if "error" in facts:
        return f"{facts['name']}: {facts['error']}"
    return (
        f"{facts['name']}: {facts['parameters'] / 1e6:.1f} M parameters; "
        f"{', '.join(facts['native_sizes'])} at {facts['fps']:g} fps, "
        f"{facts['seconds']:g} s (up to {facts['longest']:g} s); "
        f"{facts['steps']} steps, guidance {facts['guidance']:g}; "
        f"weights {facts['weights_sha256'][:12]}"
    )
