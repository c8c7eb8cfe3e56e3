"""What a manifest says, as the values that the C2PA library takes. Pure data, no files.

    c2pa.actions.v2       created, or opened and edited; watermarked; nothing else was done
    c2pa.soft-binding     the id in the watermark, by which a stripped video is found again
    cawg.training-mining  whether others may learn from it
    org.worldreel.recipe  model, seed, settings, versions; what was signed: size and frames
    c2pa.ingredient.v3    what it was made from (the library adds these, and the file's hash)

Prompts and file names (which may be made from prompts) stay out unless the user allows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worldreel.errors import RequestError, message
from worldreel.provenance.ingredients import COMPONENT, INPUT, PARENT, Ingredient
from worldreel.provenance.store import Settings

__all__ = ["GENERATOR", "RECIPE", "SPEC", "Watermark", "ingredient", "manifest"]

GENERATOR = "worldreel"
RECIPE = "org.worldreel.recipe"
SPEC = "2.4.0"
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_MADE, _MIXED = (
    _SOURCE + "trainedAlgorithmicMedia",
    _SOURCE + "compositeWithTrainedAlgorithmicMedia",
)
_MINING = ("ai_generative_training", "ai_inference", "ai_training", "data_mining")
_WORDS = ("prompt", "negative")


@dataclass(frozen=True, kw_only=True)
class Watermark:
    """The mark in the pictures: the `algorithm` that reads it and the `value` that it reads."""

    algorithm: str
    value: str


def manifest(
    recipe: Mapping[str, Any],
    *,
    created: bool,
    ingredients: Sequence[Ingredient],
    settings: Settings,
    signed: Mapping[str, int],
    watermark: Watermark | None = None,
    title: str = "",
) -> dict[str, Any]:
    """The manifest of a video with this recipe; ingredient `i` goes by the id that `ingredient`
    gives it. `signed` is what the file holds: width, height, frames.

    Raises `RequestError` if `created` and the ingredients do not go together.
    """
    parents = sum(one.relationship == PARENT for one in ingredients)
    if parents != (not created):
        came = (
            f"{parents} parents were given for a video that was {'' if created else 'not '}created"
        )
        raise RequestError(message(came, "a video has no parent if created, else one"))
    actions = _created(recipe, ingredients) if created else _edited(recipe, ingredients)
    if watermark is not None:
        actions.append({"action": "c2pa.watermarked.bound"} | _when(recipe))
    said = [("c2pa.actions.v2", {"actions": actions, "allActionsIncluded": True})]
    if watermark is not None:
        block = {"scope": {}, "value": watermark.value}
        said.append(("c2pa.soft-binding", {"alg": watermark.algorithm, "blocks": [block]}))
    uses = {f"cawg.{name}": {"use": settings.training} for name in _MINING}
    said.append(("cawg.training-mining", {"entries": uses}))
    said.append((RECIPE, _recipe(recipe, settings, signed)))
    values: dict[str, Any] = {
        "claim_generator_info": [_generator(recipe) | {"specVersion": SPEC}],
        # Without `created` the library files these under "gathered", said by somebody else.
        "assertions": [{"label": label, "data": data, "created": True} for label, data in said],
    }
    return values | ({"title": title} if title and settings.prompt else {})


def ingredient(index: int, one: Ingredient, settings: Settings) -> dict[str, Any]:
    """What is said of ingredient number `index`, beside what the library reads from its file."""
    title = one.title if settings.prompt and one.title else f"ingredient {index + 1}"
    return {"title": title, "relationship": one.relationship, "label": _id(index)}


def _id(index: int) -> str:
    return f"ingredient-{index}"


def _ids(ingredients: Sequence[Ingredient], relationship: str) -> dict[str, Any]:
    """The parameters of an action on the ingredients of that relationship; none if there are
    none."""
    ids = [_id(i) for i, one in enumerate(ingredients) if one.relationship == relationship]
    return {"parameters": {"ingredientIds": ids}} if ids else {}


def _created(recipe: Mapping[str, Any], ingredients: Sequence[Ingredient]) -> list[dict[str, Any]]:
    made = {
        "action": "c2pa.created",
        "digitalSourceType": _MADE,
        "softwareAgent": _generator(recipe),
    }
    made |= _when(recipe) | {"description": f"made by {GENERATOR} {recipe.get('task', 'generate')}"}
    made |= _ids(ingredients, INPUT)
    return [made, *_placed(recipe, ingredients)]


def _edited(recipe: Mapping[str, Any], ingredients: Sequence[Ingredient]) -> list[dict[str, Any]]:
    opened = {"action": "c2pa.opened"} | _when(recipe) | _ids(ingredients, PARENT)
    edited = {
        "action": "c2pa.edited",
        "digitalSourceType": _MIXED,
        "softwareAgent": _generator(recipe),
        "description": f"changed by {GENERATOR} {recipe.get('task', 'edit')}",
    }
    edited |= _when(recipe) | _ids(ingredients, INPUT)
    return [opened, edited, *_placed(recipe, ingredients)]


def _placed(recipe: Mapping[str, Any], ingredients: Sequence[Ingredient]) -> list[dict[str, Any]]:
    placed = _ids(ingredients, COMPONENT)
    return [{"action": "c2pa.placed"} | _when(recipe) | placed] if placed else []


def _when(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {"when": recipe["created"]} if recipe.get("created") else {}


def _generator(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": GENERATOR, "version": str(recipe.get("version", ""))}


def _recipe(
    recipe: Mapping[str, Any], settings: Settings, signed: Mapping[str, int]
) -> dict[str, Any]:
    """The recipe as far as it may be told, and what was signed."""
    told = dict(recipe)
    if not settings.prompt:
        told = {name: value for name, value in told.items() if name not in _WORDS}
        told["shots"] = [_without(shot, "prompt") for shot in told.get("shots", [])]
        told["known"] = [_without(known, "name") for known in told.get("known", [])]
    values = {"recipe": told, "words": "told" if settings.prompt else "withheld"} | dict(signed)
    return values | ({"off": list(settings.off)} if settings.off else {})


def _without(entry: Any, name: str) -> Any:
    return {k: v for k, v in entry.items() if k != name} if isinstance(entry, Mapping) else None
