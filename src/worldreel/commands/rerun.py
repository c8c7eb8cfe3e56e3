"""`worldreel recipe` and `worldreel rerun`: how a video was made, and the same video again."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from worldreel.commands.generate import make, running, tell
from worldreel.commands.naming import free
from worldreel.errors import RecipeError, WeightsError, message, shown
from worldreel.recipe import Recipe, extract
from worldreel.request import Character, KnownClip, Lora

__all__ = ["recipe", "rerun"]


def recipe(arguments: argparse.Namespace) -> None:
    """Print the recipe as JSON, just as `rerun` would read it."""
    print(Recipe.from_dict(extract(arguments.file)).to_json())


def rerun(arguments: argparse.Namespace) -> None:
    """Follow the recipe of a file; refuses other weights unless told otherwise."""
    found = Recipe.from_dict(extract(arguments.file))
    source = Path(arguments.file)
    given = _given(found, source.parent, arguments.model or found.model)
    request = found.request(given, _loras(found, source.parent), _cast(found, source.parent))
    if arguments.model is not None:
        request = replace(request, model=arguments.model)
    output = Path(arguments.output) if arguments.output else free(source)

    from worldreel.generator import Generator
    from worldreel.trust import Trust
    from worldreel.video import check_output

    check_output(output)
    generator = Generator.load(
        request.model, loras=request.loras, trust=Trust.load(), **running(arguments, request)
    )
    if generator.model.sha256 != found.weights_sha256:
        came = f"{source.name} was made with other weights than {request.model} has now"
        if not arguments.other_weights:
            raise WeightsError(message(came, "give --other-weights for a different video"))
        print(f"worldreel: {came}; the frames will differ.", file=sys.stderr)
    tell(make(generator, request, output, fit=found.fit), as_json=arguments.json)


def _loras(recipe: Recipe, folder: Path) -> tuple[Lora, ...]:
    """The LoRAs of a video: files of the same names, beside it or here; the generator
    refuses what has changed."""
    loras = []
    for entry in recipe.loras:
        told = entry if isinstance(entry, dict) else {}
        name = Path(str(told.get("name") or "")).name  # a name alone: recipes come from strangers
        places = [place / name for place in (folder, Path()) if name and (place / name).exists()]
        if not places:
            came = f"this video was made with the LoRA {shown(name)}, which is not beside it"
            raise RecipeError(message(came, "put that file into the same folder"))
        weight, part = told.get("weight"), str(told.get("part") or "")
        weight = float(weight) if isinstance(weight, int | float) else 1.0
        sha256 = str(told.get("sha256") or "")
        loras.append(Lora(path=str(places[0]), weight=weight, part=part, sha256=sha256))
    return tuple(loras)


def _cast(recipe: Recipe, folder: Path) -> tuple[Character, ...]:
    """The characters of a video: files of the same names, beside it, that have not changed."""
    from worldreel.given import known_shown

    cast = []
    for entry in recipe.cast:
        told = entry if isinstance(entry, dict) else {}
        name = Path(str(told.get("file") or "")).name  # a name alone: recipes come from strangers
        if not name or not (folder / name).is_file():
            came = f"this video was made with the character file {shown(name)}"
            raise RecipeError(message(came, "put that file into the same folder"))
        known = known_shown(folder / name)
        if known.sha256 != told.get("sha256"):
            came = f"{shown(name)} has changed since this video was made from it"
            raise RecipeError(message(came, "put the same file into the folder"))
        who, about = str(told.get("name") or ""), str(told.get("about") or "")
        cast.append(Character(name=who, about=about, known=known))
    return tuple(cast)


def _given(found: Recipe, folder: Path, model: str) -> tuple[KnownClip, ...]:
    """What the video was made from: files of the same names, beside it, that have not changed."""
    from worldreel.given import known_clip, known_still
    from worldreel.models.load import settings_of

    like = settings_of(model) if found.known else None
    known = []
    for entry in found.known:
        told = entry if isinstance(entry, dict) else {}
        name = Path(str(told.get("name") or "")).name  # a name alone: recipes come from strangers
        if not name or told.get("region"):
            came = f"this video was made by {found.task} from {name or 'a clip in memory'}"
            needed = "run that again: a recipe holds no pictures and no masks"
            raise RecipeError(message(came, needed))
        path = folder / name
        if not path.is_file():
            came = f"this video was made from {shown(name)}, which is not beside it"
            raise RecipeError(message(came, "put that file into the same folder"))
        still = found.task in ("animate", "storyboard") and told.get("frames") == 1
        one = known_still(path) if still else known_clip(path, like=like)
        if one.sha256 != told.get("sha256"):
            came = f"{shown(name)} has changed since this video was made from it"
            raise RecipeError(message(came, "put the same file into the folder"))
        span = told.get("span")
        length = float(told.get("seconds") or 0)
        clip = one.clip if abs(one.clip.seconds - length) < 0.05 else one.clip[:length]
        known.append(
            replace(
                one,
                clip=clip,
                at=float(told.get("at") or 0),
                noise_level=float(told.get("noise_level") or 0),
                span=(float(span[0]), float(span[1])) if isinstance(span, list) else None,
            )
        )
    return tuple(known)
