"""What a file tells of itself: for the badge what `inspect` says, in few words; of what people drop
its recipe alone, for they wait for it."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

from worldreel.errors import MediaError, RecipeError
from worldreel.provenance import inspect
from worldreel.provenance.process import answers
from worldreel.recipe import Recipe

__all__ = ["looked_at", "remembered"]

_MOST = 512
_known: OrderedDict[str, dict[str, Any]] = OrderedDict()
"""Finished videos do not change: one look is enough."""


def looked_at(path: Path, *, key: str | None = None) -> dict[str, Any]:
    """{"answer", "state", "evidence", "changes", "recipe", "off", "watermark"} of a file.

    What is known by `key` is not looked at again.
    """
    if key is not None and key in _known:
        return _known[key]
    report = inspect(path, pictures=False)  # the file is our own: what is written in it will do
    manifest = report.manifest
    actions = [] if manifest is None else [one.get("action") for one in manifest.actions]
    told = {
        "answer": report.answer,
        "state": report.state,
        "signer": None if manifest is None else manifest.signer,
        "evidence": [
            {"source": one.source, "answer": one.answer, "why": one.why} for one in report.evidence
        ],
        "changes": list(report.changes),
        "off": [] if manifest is None else list(manifest.off),
        "watermark": "c2pa.watermarked" in actions
        or any(str(action).startswith("c2pa.watermarked") for action in actions),
        "recipe": _recipe(report.recipe),
    }
    if key is not None:
        _known[key] = told
        if len(_known) > _MOST:
            _known.popitem(last=False)
    return told


def remembered(path: Path) -> dict[str, Any] | None:
    """The recipe that a file says it was made by (anybody can write one), or None."""
    return _recipe(answers([{"do": "remark", "path": str(path)}])[0].get("recipe"))


def _recipe(values: Any) -> dict[str, Any] | None:
    """What a prompt box can take of a recipe; files come from strangers, so it is checked."""
    if not isinstance(values, dict):
        return None
    try:
        recipe = Recipe.from_dict(values)
    except (RecipeError, MediaError):
        return None
    return {
        "prompt": recipe.prompt,
        "negative": recipe.negative,
        "seed": recipe.seed,
        "seconds": recipe.seconds,
        "size": f"{recipe.width}x{recipe.height}",
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "fps": recipe.fps,
        "model": recipe.model,
        "task": recipe.task,
        "shots": [dict(shot) for shot in recipe.shots if isinstance(shot, dict)],
    }
